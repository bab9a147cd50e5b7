// Attaches, and writes what comes.
#include "cli/attachment.hpp"

#include "core/log.hpp"
#include "core/thread.hpp"
#include "engine/client.hpp"
#include "engine/containers.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <exception>
#include <utility>

namespace hostnet::cli {
namespace {

constexpr std::chrono::seconds kAttaching{60};

Fd make_event() {
  Fd event(::eventfd(0, EFD_CLOEXEC));
  if (!event) throw Error::from_errno("eventfd", errno);
  return event;
}

void announce_by(const Fd& event) noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(event.get(), &one, sizeof one);
}

}  // namespace

Attachment::Attachment(Settings settings)
    : settings_(std::move(settings)), stop_(make_event()), ended_(make_event()) {
  auto ready = ready_.get_future();
  thread_ = start_thread("tchn-attach", [this] { carry(); });
  ready.get();
}

Attachment::~Attachment() { announce_by(stop_); }

void Attachment::raise() {
  thread_.join();
  if (unwritten_) throw Error(*unwritten_);
}

void Attachment::carry() {
  bool attached = false;
  engine::AttachSpec spec{
      .input = settings_.input ? STDIN_FILENO : -1, .tty = settings_.tty, .stop = stop_.get(), .ready = [&] {
        attached = true;
        ready_.set_value();
      }};
  if (settings_.output)
    spec.sink = [this](engine::Stream stream, std::string_view piece) { put(stream, piece); };
  try {
    engine::Client client(settings_.engine);
    engine::Containers(client).attach(settings_.container, spec, Deadline::after(kAttaching));
  } catch (const Error& error) {
    if (!attached)
      ready_.set_exception(std::make_exception_ptr(error));
    else if (!unwritten_)
      log::warn("the command's streams are lost: {}", error.what());
  }
  announce_by(ended_);
}

// A pipe that has room takes a piece of PIPE_BUF bytes whole: the thread never waits in write(2) for a reader that does
// not read, only in poll(2) for that reader or `stop_`.
void Attachment::put(engine::Stream stream, std::string_view piece) {
  const int fd = stream == engine::Stream::out ? STDOUT_FILENO : STDERR_FILENO;
  while (!piece.empty()) {
    std::array<pollfd, 2> polls{{{fd, POLLOUT, 0}, {stop_.get(), POLLIN, 0}}};
    if (::poll(polls.data(), polls.size(), -1) < 0 && errno != EINTR) throw Error::from_errno("poll", errno);
    if (polls[1].revents != 0) return;
    if (polls[0].revents == 0) continue;
    const auto written = ::write(fd, piece.data(), std::min<std::size_t>(piece.size(), PIPE_BUF));
    if (written > 0) piece.remove_prefix(static_cast<std::size_t>(written));
    if (written >= 0 || errno == EINTR || errno == EAGAIN) continue;
    unwritten_ = Error::from_errno("write the command's output", errno);
    throw Error(*unwritten_);
  }
}

}  // namespace hostnet::cli
