// Logs in, finds the engine, and connects.
#include "engine/ssh_link.hpp"

#include "core/child.hpp"
#include "core/forked.hpp"
#include "core/log.hpp"
#include "core/process.hpp"
#include "core/strings.hpp"
#include "core/unix_address.hpp"
#include "engine/cutoff.hpp"
#include "engine/ssh_runner.hpp"
#include "hostnet/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>
#include <vector>

namespace hostnet::engine {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kPause{1};
constexpr seconds kRefusedPause{10};
constexpr milliseconds kLook{5};
constexpr seconds kControlCommand{10};  // a command to the master, which only this machine delays
constexpr off_t kMostWords = 65'536;

// A path that ssh takes as it is: it expands % in ControlPath, and separates the parts of a forward by colons. The
// control socket's name has 17 characters more while it is made.
bool is_plain(std::string_view folder) {
  constexpr std::size_t longest = 50;
  return folder.starts_with('/') && folder.size() <= longest && std::ranges::all_of(folder, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '/' ||
                  c == '.' || c == '_' || c == '-';
         });
}

Fd connect_to_socket(const std::string& path) {
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) throw Error::from_errno("socket", errno);
  const auto where = unix_address(path).value();  // its folder is_plain()
  if (::connect(fd.get(), as_sockaddr(where), sizeof where) != 0)
    throw Error::from_errno("connect to " + path, errno);
  return fd;
}

constexpr const char* kFolderName = "tc-hostnet-ssh-";
constexpr const char* kControlName = "/control";

// Removes the folders of processes that were killed together with their ssh. One that is being made has no socket yet.
void remove_dead_folders(const std::string& base) {
  constexpr seconds longest_making{60};
  std::error_code failed;
  for (std::filesystem::directory_iterator one(base, failed), end; !failed && one != end;
       one.increment(failed)) {
    const auto path = one->path().string();
    struct stat status {};
    if (!one->path().filename().string().starts_with(kFolderName) || ::lstat(path.c_str(), &status) != 0 ||
        !S_ISDIR(status.st_mode) || status.st_uid != ::geteuid())
      continue;
    try {
      connect_to_socket(path + kControlName);
    } catch (const Error& error) {
      const bool is_new = ::time(nullptr) - status.st_mtime < longest_making.count();
      if (error.sys_errno() == ECONNREFUSED || (error.sys_errno() == ENOENT && !is_new))
        std::filesystem::remove_all(path, failed);
      failed.clear();
    }
  }
}

// Where no other user can replace what we make: our own folder, or /tmp with its sticky bit.
std::string make_folder() {
  std::string base = "/tmp";
  struct stat status {};
  if (const char* const own = std::getenv("XDG_RUNTIME_DIR"); own != nullptr && is_plain(own))
    if (::stat(own, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == ::geteuid() &&
        (status.st_mode & (S_IWGRP | S_IWOTH)) == 0)
      base = own;
  remove_dead_folders(base);
  auto folder = fmt::format("{}/{}XXXXXX", base, kFolderName);
  if (::mkdtemp(folder.data()) == nullptr) throw Error::from_errno("make a folder in " + base, errno);
  return folder;
}

// No window for a password, neither from ssh nor from another one that it starts for a jump host, which does
// not get the options of this one.
constexpr const char* kNoWindow = "SSH_ASKPASS_REQUIRE=never";

}  // namespace

struct SshLink::Session {
  // The terminal on which a person can answer what ssh asks, if it is ours at the moment.
  class Terminal {
   public:
    Terminal() : fd_(::isatty(STDERR_FILENO) == 0 ? -1 : ::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC)) {
      if (!is_ours() || ::tcgetattr(fd_.get(), &was_) != 0) fd_.reset();
    }
    [[nodiscard]] bool may_ask() const { return static_cast<bool>(fd_); }
    // As it was: an ssh that is killed while it asks for a password leaves it without echo.
    void restore() const {
      if (is_ours()) ::tcsetattr(fd_.get(), TCSANOW, &was_);
    }

   private:
    [[nodiscard]] bool is_ours() const { return fd_ && ::tcgetpgrp(fd_.get()) == ::getpgrp(); }

    Fd fd_;
    termios was_{};
  };

  Session(const Ssh& ssh, milliseconds longest_login)
      : folder(make_folder()),
        words(::memfd_create("tc-hostnet-ssh", MFD_CLOEXEC)),
        limit(Deadline::after(longest_login)) {
    try {
      if (!words) throw Error::from_errno("memfd_create", errno);
      ::fcntl(words.get(), F_SETFL, O_APPEND);  // several processes write
      const bool asks = terminal.may_ask();
      const auto program = find_program("ssh");
      Child::Life life{.bound = true, .asks_on_terminal = asks, .folder = folder};
      if (!asks) life.variables = {kNoWindow};
      master.emplace(program, ssh_master(ssh, control(), asks), Child::Streams{.err = words.get()},
                     Deadline::after(kControlCommand), life);
    } catch (...) {
      ::rmdir(folder.c_str());
      throw;
    }
  }

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() {
    runner.reset();
    master.reset();
    if (!is_up) terminal.restore();
  }

  [[nodiscard]] std::string control() const { return folder + kControlName; }
  [[nodiscard]] std::string engine() const { return folder + "/engine"; }
  [[nodiscard]] bool is_logged_in() const { return ::access(control().c_str(), F_OK) == 0; }

  [[nodiscard]] std::string said() const {
    std::array<char, 8192> buffer;
    const auto size = ::lseek(words.get(), 0, SEEK_END);
    const auto from = std::max<off_t>(0, size - static_cast<off_t>(buffer.size()));
    const auto got = ::pread(words.get(), buffer.data(), buffer.size(), from);
    return {buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(0, got))};
  }
  void forget_words() const { [[maybe_unused]] const auto done = ::ftruncate(words.get(), 0); }

  // Returns what ssh said against it; empty if it is done.
  [[nodiscard]] std::string forward(Forwarding what, const std::string& local,
                                    const std::string& remote) const {
    const auto done = run_process(ssh_forward(what, control(), local, remote), {},
                                  before_cutoff(Deadline::after(kControlCommand)));
    if (done.exit_code == 0) return {};
    const auto why = last_words(done.errors);
    return why.empty() ? fmt::format("ssh ended with {}", done.exit_code) : why;
  }

  std::string folder;
  Fd words;  // ssh's standard error
  Terminal terminal;
  bool is_up = false;  // it asks nothing more; others may have changed the terminal since
  Deadline limit;
  std::optional<Child> master;
  std::string socket;                             // where the engine answers; empty until it is found
  std::unique_ptr<SshRunner> runner;              // once a command was needed
  std::map<std::string, std::string> forwarding;  // remote endpoint -> socket here
  unsigned next = 0;
};

std::shared_ptr<SshLink> SshLink::to(const Address& address) {
  struct Links {
    std::mutex mutex;
    std::map<std::string, std::shared_ptr<SshLink>> of;
  };
  auto& links = for_this_process<Links>();
  const std::scoped_lock lock(links.mutex);
  auto& link = links.of[address.text()];
  if (!link) link = std::make_shared<SshLink>(address);
  return link;
}

SshLink::SshLink(Address address, milliseconds longest_login)
    : address_(std::move(address)), longest_login_(longest_login) {}
SshLink::~SshLink() = default;

std::unique_lock<std::timed_mutex> SshLink::locked(Deadline deadline) {
  std::unique_lock lock(mutex_, std::defer_lock);
  if (!lock.try_lock_for(before_cutoff(deadline).remaining())) late("login");
  return lock;
}

std::string SshLink::engine_socket(Deadline deadline) {
  const auto lock = locked(deadline);
  return up(deadline).socket;
}

Fd SshLink::dial(const IpEndpoint& endpoint, Deadline deadline) {
  const auto lock = locked(deadline);
  auto& session = up(deadline);
  const auto remote = forward_target(endpoint.address.to_string(), endpoint.port);
  auto& local = session.forwarding[remote];
  if (local.empty()) {
    auto path = fmt::format("{}/{}", session.folder, session.next++);
    if (const auto why = session.forward(Forwarding::begin, path, remote); !why.empty())
      throw Error(Errc::failure, fmt::format("ssh forward to {} there: {}", remote, why));
    local = std::move(path);
  }
  return connect_to_socket(local);
}

void SshLink::forget(const IpEndpoint& endpoint, Deadline deadline) noexcept {
  try {
    const auto lock = locked(deadline);
    check_session();
    if (!session_) return;
    const auto remote = forward_target(endpoint.address.to_string(), endpoint.port);
    const auto found = session_->forwarding.find(remote);
    if (found == session_->forwarding.end()) return;
    const auto local = std::exchange(found->second, {});
    session_->forwarding.erase(found);
    if (const auto why = session_->forward(Forwarding::end, local, remote); !why.empty())
      log::debug("ssh: ending the forward to {}: {}", remote, why);
    ::unlink(local.c_str());
  } catch (const std::exception& error) {
    log::debug("ssh: ending a forward: {}", error.what());
  }
}

// Ends the session if ssh has ended.
void SshLink::check_session() {
  if (!session_ || session_->socket.empty()) return;
  if (!session_->master->wait(Deadline::after(milliseconds{0})) && session_->is_logged_in()) {
    if (::lseek(session_->words.get(), 0, SEEK_END) > kMostWords) session_->forget_words();
    return;
  }
  const auto said = last_words(session_->said());
  log::info("the ssh session with {} is lost{}{}", address_.socket, said.empty() ? "" : ": ", said);
  session_.reset();
}

SshLink::Session& SshLink::up(Deadline deadline) {
  deadline = before_cutoff(deadline);
  check_session();
  if (session_ && !session_->socket.empty()) return *session_;
  if (!session_) {
    if (failure_ && !failed_until_.expired()) throw Error(*failure_);
    log_in();
  }
  await_login(deadline);
  find_engine(deadline);
  failure_.reset();
  return *session_;
}

void SshLink::fail(const Error& error) {
  session_.reset();
  failure_ = error;
  failed_until_ = Deadline::after(error.code() == Errc::not_authorised ? kRefusedPause : kPause);
  throw Error(error);
}

void SshLink::late(const char* stage) const {
  throw Error(Errc::timed_out,
              fmt::format("ssh {}: {} ({}) did not answer in time", stage, address_.socket, address_.from),
              "check that the machine is up, and that ssh reaches it");
}

void SshLink::log_in() {
  try {
    session_ = std::make_unique<Session>(*address_.ssh, longest_login_);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    fail({Errc::engine_unavailable,
          fmt::format("{} ({}) needs the OpenSSH client: {}", address_.socket, address_.from, error.what()),
          "install it: apt-get install openssh-client"});
  }
}

void SshLink::await_login(Deadline deadline) {
  if (session_->is_logged_in() && session_->master->wait(Deadline::after(milliseconds{0})))
    fail(login_error(address_, session_->said()));
  while (!session_->is_logged_in()) {
    if (session_->master->wait(Deadline::after(kLook))) fail(login_error(address_, session_->said()));
    if (session_->limit.expired())
      fail({Errc::timed_out,
            fmt::format("ssh login: {} ({}) takes too long", address_.socket, address_.from)});
    if (deadline.expired()) late("login");
    if (stopped_for() >= milliseconds{0})
      throw Error(Errc::timed_out,
                  fmt::format("ssh login to {}: this process was told to stop", address_.socket));
  }
  session_->is_up = true;
}

void SshLink::find_engine(Deadline deadline) {
  auto& session = *session_;
  const auto& path = address_.ssh->path;
  std::vector<std::string> against;
  session.forget_words();
  if (const auto why = session.forward(Forwarding::begin, session.engine(), path); !why.empty())
    against.push_back(fmt::format("forwarding: {}", why));
  else if (answers(session.engine(), deadline)) {
    session.socket = session.engine();
    return;
  }
  unsigned number = 0;
  for (const auto& command : dial_commands(path)) {
    session.forget_words();
    const auto socket = fmt::format("{}/command{}", session.folder, number++);
    auto runner = std::make_unique<SshRunner>(*address_.ssh, session.control(), session.words.get());
    runner->serve(socket, command);
    if (answers(socket, deadline)) {
      log::info("{} does not forward to {}: going by the command {}", address_.socket, path,
                quote(command.substr(0, command.find(' '))));
      session.runner = std::move(runner);
      session.socket = socket;
      return;
    }
    runner.reset();  // ssh has ended
    against.push_back(last_words(session.said()));
  }
  std::erase(against, "");
  const bool denied = std::ranges::any_of(
      against, [](const auto& why) { return why.find("ermission denied") != std::string::npos; });
  fail({denied ? Errc::not_authorised : Errc::engine_unavailable,
        fmt::format("the ssh login to {} ({}) works, but no container engine answers at {} there: {}",
                    address_.socket, address_.from, path,
                    against.empty() ? "the connection is closed" : list_of(against)),
        denied ? "let that user join the group that owns the socket there, or name the socket of that user's "
                 "own engine"
               : "start the engine there, or name its socket: ssh://HOST/run/podman/podman.sock, or of a "
                 "user's own engine "
                 "/run/user/UID/podman/podman.sock or /run/user/UID/docker.sock"});
}

// False if it hangs up.
bool SshLink::answers(const std::string& socket, Deadline deadline) const {
  constexpr std::string_view ping = "GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n";
  const auto connection = connect_to_socket(socket);
  if (::send(connection.get(), ping.data(), ping.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(ping.size()))
    return false;
  // What a login shell prints is no answer.
  constexpr std::string_view beginning = "HTTP/";
  std::string got;
  while (got.size() < beginning.size()) {
    pollfd poll{connection.get(), POLLIN, 0};
    const auto span = std::min(deadline.remaining(), milliseconds{250});
    const int ready = ::poll(&poll, 1, static_cast<int>(span.count()));
    if (ready < 0 && errno != EINTR) throw Error::from_errno("poll", errno);
    std::array<char, 16> buffer;
    if (ready > 0) {
      const auto size = ::recv(connection.get(), buffer.data(), beginning.size() - got.size(), 0);
      if (size <= 0) return false;
      got.append(buffer.data(), static_cast<std::size_t>(size));
    } else if (deadline.expired() || stopped_for() >= milliseconds{0}) {
      late("connection to the engine's socket");
    }
  }
  return got == beginning;
}

}  // namespace hostnet::engine
