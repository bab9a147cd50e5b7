// The handshake, and the session's input and output.
#include "path/ssh/session.hpp"

#include "core/log.hpp"
#include "hostnet/error.hpp"
#include "path/sidecar/dial.hpp"
#include "path/sidecar/sshd.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>

#include <cerrno>

namespace hostnet::ssh {
namespace {

using Clock = std::chrono::steady_clock;

// The size of libssh 0.10's reads; a shorter read has emptied the socket.
constexpr std::uint64_t kFullRead = 4096;
// Upper limit of a packet's length field, padding and authentication tag.
constexpr std::uint64_t kPacketOverhead = 40;

std::chrono::microseconds since(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start);
}

// AES in hardware is some three times as fast as ChaCha20, in software some three times as slow.
const char* ciphers() {
#if defined(__x86_64__) || defined(__i386__)
  const bool fast_aes = __builtin_cpu_supports("aes") != 0;
#else
  const bool fast_aes = true;  // ARMv8 servers have it; without it AES is slow but works
#endif
  return fast_aes ? "aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-gcm@openssh.com"
                  : "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com";
}

void set_option(const Libssh& lib, ssh_session session, ssh_options_e option, const void* value) {
  if (lib.ssh_options_set(session, option, value) != SSH_OK)
    throw Error(Errc::failure,
                fmt::format("libssh refuses an option of the session: {}", lib.ssh_get_error(session)));
}

void set_tcp_option(int fd, int option, int value) {
  ::setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value);
}

}  // namespace

template <class Call>
int Session::complete(const char* stage, Deadline deadline, Call call) {
  for (;;) {
    // Both sides delay ACKs of the handshake's small packets by 40 ms: send ours at once.
    set_tcp_option(fd_, TCP_QUICKACK, 1);
    const int code = call();
    if (code != SSH_AGAIN) return code;
    pollfd wait{.fd = fd_, .events = POLLIN, .revents = 0};
    if (has_output()) wait.events |= POLLOUT;
    const int ready = ::poll(&wait, 1, deadline.poll_timeout());
    if (ready == 0)
      throw Error(Errc::timed_out, fmt::format("ssh {}: the sidecar gave no answer in time", stage));
    if (ready < 0 && errno != EINTR) throw Error::from_errno("poll", errno);
  }
}

Session::Session(Fd connected, const Identity& identity, Deadline deadline, Deadline handshake)
    : lib_(Libssh::get()), session_(lib_.ssh_new()), fd_(connected.get()) {
  if (!session_) throw Error(Errc::failure, "libssh cannot create a session");
  set_tcp_option(fd_, TCP_NODELAY, 1);
  const auto session = session_.get();
  const bool no = false;
  const int none = 0;
  // Ignore ~/.ssh/config: it is not meant for this session.
  set_option(lib_, session, SSH_OPTIONS_PROCESS_CONFIG, &no);
  set_option(lib_, session, SSH_OPTIONS_HOST, "sidecar");
  set_option(lib_, session, SSH_OPTIONS_USER, kUser);
  set_option(lib_, session, SSH_OPTIONS_FD, &fd_);
  set_option(lib_, session, SSH_OPTIONS_CIPHERS_C_S, ciphers());
  set_option(lib_, session, SSH_OPTIONS_CIPHERS_S_C, ciphers());
  set_option(lib_, session, SSH_OPTIONS_KEY_EXCHANGE, "curve25519-sha256,curve25519-sha256@libssh.org");
  set_option(lib_, session, SSH_OPTIONS_HOSTKEYS, "ssh-ed25519");
  set_option(lib_, session, SSH_OPTIONS_COMPRESSION, "no");
  // Ignore known_hosts: the host key is compared below.
  set_option(lib_, session, SSH_OPTIONS_STRICTHOSTKEYCHECK, &none);
  // Read none of the user's files; the user may have no home.
  set_option(lib_, session, SSH_OPTIONS_SSH_DIR, "/nonexistent");
  set_option(lib_, session, SSH_OPTIONS_KNOWNHOSTS, "/dev/null");
  set_option(lib_, session, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null");
  lib_.ssh_set_counters(session, &bytes_, &packets_);
  lib_.ssh_set_blocking(session, 0);

  auto start = Clock::now();
  [[maybe_unused]] const int theirs = connected.release();  // libssh closes it, even after a failed connect
  try {
    shake_hands(identity.host_key, handshake.remaining() < deadline.remaining() ? handshake : deadline);
  } catch (const Error& error) {
    throw NotOurSshd(error.code(), error.what(), error.hint(), error.sys_errno());
  }
  times_.handshake = since(start);
  if (identity.before_login) identity.before_login(deadline);

  start = Clock::now();
  const int login = complete("login", deadline, [&] {
    const int result = lib_.ssh_userauth_publickey(session, nullptr, identity.client.handle());
    return result == SSH_AUTH_AGAIN ? SSH_AGAIN : result;
  });
  if (login != SSH_AUTH_SUCCESS)
    throw Error(Errc::not_authorised,
                fmt::format("ssh login: the sidecar refuses the key: {}", last_error()));
  command_ = lib_.ssh_channel_new(session);
  if (command_ == nullptr ||
      complete("login", deadline, [&] { return lib_.ssh_channel_open_session(command_); }) != SSH_OK ||
      complete("login", deadline, [&] { return lib_.ssh_channel_request_exec(command_, ":"); }) != SSH_OK)
    throw Error(Errc::failure, fmt::format("ssh login: the sidecar runs no command: {}", last_error()));
  times_.login = since(start);

  event_.reset(lib_.ssh_event_new());
  if (!event_ || lib_.ssh_event_add_session(event_.get(), session) != SSH_OK)
    throw Error(Errc::failure, "libssh cannot create an event context");
}

void Session::shake_hands(const std::string& host_key, Deadline deadline) {
  const auto session = session_.get();
  const int code = complete("handshake", deadline, [&] { return lib_.ssh_connect(session); });
  if (code != SSH_OK) throw Error(Errc::failure, fmt::format("ssh handshake: {}", last_error()));
  // ssh_connect() has made it blocking.
  ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK);

  ssh_key shown = nullptr;
  if (lib_.ssh_get_server_publickey(session, &shown) != SSH_OK)
    throw Error(Errc::failure, "ssh handshake: the sidecar shows no host key");
  const KeyHandle shown_key(shown);
  if (!is_public_key(shown_key.get(), host_key))
    throw Error(Errc::conflict, "ssh handshake: the server's host key is not the sidecar's",
                "something else answers in the sidecar's place: see docker ps and the port mapping");
}

Session::~Session() {
  if (event_) lib_.ssh_event_remove_session(event_.get(), session_.get());
  event_.reset();
  // ssh_free() closes the socket and frees the command's channel. ssh_disconnect() would leave the socket
  // open, because libssh was given it; to sshd, the end of the connection means the same.
}

void Session::listen(std::uint16_t port, Deadline deadline) {
  const auto start = Clock::now();
  const int code = complete("forward", deadline, [&] {
    return lib_.ssh_channel_listen_forward(session_.get(), kListenAddress, port, nullptr);
  });
  if (code != SSH_OK)
    throw Error(Errc::conflict,
                fmt::format("ssh forward: the sidecar does not listen on port {}: {}", port, last_error()));
  times_.forwards += since(start);
}

bool Session::turn() {
  const auto before = received();
  lib_.ssh_event_dopoll(event_.get(), 0);
  check();
  return received() - before >= kFullRead;
}

void Session::check() const {
  if (lib_.ssh_is_connected(session_.get()) == 0 ||
      (lib_.ssh_get_status(session_.get()) & (SSH_CLOSED | SSH_CLOSED_ERROR)) != 0)
    throw Error(Errc::failure, fmt::format("the ssh session is lost: {}", last_error()));
}

bool Session::has_output() const { return (lib_.ssh_get_status(session_.get()) & SSH_WRITE_PENDING) != 0; }

std::uint64_t Session::backlog() {
  const auto given = packets_.out_bytes + kPacketOverhead * packets_.out_packets - bytes_.out_bytes;
  if (!has_output()) settled_ = given;
  return given - settled_;
}

bool Session::hold() {
  int unsent = 0;
  if (has_output() || ::ioctl(fd_, SIOCOUTQNSD, &unsent) != 0 || unsent != 0) return false;
  set_tcp_option(fd_, TCP_CORK, 1);
  set_tcp_option(fd_, TCP_NOTSENT_LOWAT, 1);
  return true;
}

void Session::release() {
  set_tcp_option(fd_, TCP_NOTSENT_LOWAT, 0);  // the system's default
  set_tcp_option(fd_, TCP_CORK, 0);
}

void Session::ping() { lib_.ssh_send_keepalive(session_.get()); }

std::string Session::cipher() const {
  const char* const name = lib_.ssh_get_cipher_out(session_.get());
  return name == nullptr ? "" : name;
}

std::string Session::last_error() const {
  const char* const text = lib_.ssh_get_error(session_.get());
  return text == nullptr || *text == '\0' ? "the sidecar closed the connection" : text;
}

}  // namespace hostnet::ssh
