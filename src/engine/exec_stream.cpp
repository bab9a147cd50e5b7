// Opens the stream, and carries both directions by one poll.
#include "engine/exec_stream.hpp"

#include "core/strings.hpp"
#include "core/thread.hpp"
#include "engine/conversation.hpp"
#include "engine/parse.hpp"
#include "hostnet/error.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

namespace hostnet::engine {
namespace {

constexpr std::size_t kStreamBuffer = 64U << 10;
constexpr std::size_t kLongestWords = 2'000;

// Takes off what a send has taken. False when that side is gone.
bool take_off(std::string& buffer, ssize_t sent) {
  if (sent < 0) return errno == EAGAIN || errno == EINTR;
  buffer.erase(0, static_cast<std::size_t>(sent));
  return true;
}

}  // namespace

ExecStream::ExecStream(Address engine, std::string container, ExecSpec spec, Deadline deadline)
    : engine_(std::move(engine)), container_(std::move(container)), spec_(std::move(spec)) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
    throw Error::from_errno("socketpair", errno);
  ours_.reset(ends[0]);
  theirs_.reset(ends[1]);
  thread_ = start_thread("tchn-exec", [this, deadline] { run(deadline); });
}

ExecStream::~ExecStream() {
  ::shutdown(ours_.get(), SHUT_RDWR);
  if (thread_.joinable()) thread_.join();
}

void ExecStream::run(Deadline deadline) {
  try {
    Client client(engine_);
    carry(Containers(client).open_exec(container_, spec_, deadline));
  } catch (const std::exception& error) {
    const std::lock_guard lock(mutex_);
    words_ = error.what();
  }
  ::shutdown(ours_.get(), SHUT_RDWR);  // after the words: this side asks for them at its end of file
  over_ = true;
}

void ExecStream::carry(OpenStream stream) {
  std::string to_engine;
  std::string to_here;
  Demultiplexer frames([&](Stream which, std::string_view piece) {
    if (which == Stream::out)
      to_here += piece;
    else
      say(piece);
  });
  frames.feed(stream.first);
  auto& wire = stream.wire;
  std::array<char, kStreamBuffer> buffer;
  bool more = stream.more;
  while (more || !to_here.empty()) {
    std::array<pollfd, 2> polls{{{wire.fd(), 0, 0}, {ours_.get(), 0, 0}}};
    if (to_here.empty()) polls[0].events |= POLLIN;
    if (!to_engine.empty()) polls[0].events |= POLLOUT;
    if (to_engine.empty()) polls[1].events |= POLLIN;
    if (!to_here.empty()) polls[1].events |= POLLOUT;
    if (!more || polls[0].events == 0) polls[0].fd = -1;  // a hang-up must not wake it meanwhile
    if (::poll(polls.data(), polls.size(), -1) < 0) {
      if (errno == EINTR) continue;
      throw Error::from_errno("poll", errno);
    }
    if ((polls[1].revents & (POLLHUP | POLLERR)) != 0 && !to_engine.empty()) return;
    if ((polls[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && to_engine.empty()) {
      const auto got = ::recv(ours_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return;
      if (got > 0) to_engine.assign(buffer.data(), static_cast<std::size_t>(got));
    }
    if (!to_engine.empty() && more && !take_off(to_engine, wire.send(to_engine))) more = false;
    if (more && to_here.empty() && (polls[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
      const auto got = wire.receive(buffer.data(), buffer.size());
      if (got > 0) frames.feed({buffer.data(), static_cast<std::size_t>(got)});
      more = got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
    }
    if (!to_here.empty() &&
        !take_off(to_here, ::send(ours_.get(), to_here.data(), to_here.size(), MSG_DONTWAIT | MSG_NOSIGNAL)))
      return;
  }
}

void ExecStream::say(std::string_view piece) {
  const std::lock_guard lock(mutex_);
  words_ += piece;
  if (words_.size() > kLongestWords) words_.erase(0, words_.size() - kLongestWords);
}

std::string ExecStream::words() const {
  const std::lock_guard lock(mutex_);
  const auto all = trim(words_);
  const auto line = all.rfind('\n');
  return one_line(line == std::string_view::npos ? all : all.substr(line + 1), 200);
}

}  // namespace hostnet::engine
