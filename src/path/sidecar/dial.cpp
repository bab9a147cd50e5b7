// One poll over the connections of all ways.
#include "path/sidecar/dial.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace hostnet::ssh {
namespace {

using std::chrono::milliseconds;
using Clock = Deadline::Clock;

// Pause between two attempts: sshd needs some 20 ms from its start to its first banner.
constexpr milliseconds kPause{5};
// The same once it has had time to start, and for a stream, whose opening costs more.
constexpr milliseconds kLongPause{50};
constexpr milliseconds kStreamPause{200};
constexpr milliseconds kStartingSpan{500};
// Where nothing listens after this long, nothing is starting: the next way need not wait for the head start.
constexpr milliseconds kRefusedSpan{600};
// Period of the calls of `still_there`.
constexpr milliseconds kCheckPeriod{250};
constexpr milliseconds kUsualLook{2'000};  // an engine that takes longer is itself the failure

int connect_to(int fd, const IpEndpoint& endpoint) {
  if (const auto ipv4 = endpoint.address.ipv4()) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint.port);
    address.sin_addr.s_addr = ipv4->network();
    return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(endpoint.port);
  std::memcpy(&address.sin6_addr, endpoint.address.bytes.data(), sizeof address.sin6_addr);
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

// Waiting longer changes nothing.
bool is_final(int error) {
  return error == ENETUNREACH || error == EHOSTUNREACH || error == EACCES || error == EPERM ||
         error == EAFNOSUPPORT || error == EADDRNOTAVAIL;
}

// One way and how far it has come.
class Attempt {
 public:
  enum class State : std::uint8_t { waiting, connecting, listening, banner, pausing, out };

  Attempt(const Way& way, Deadline deadline) : way_(way), deadline_(deadline) {}

  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] bool is_under_way() const noexcept {
    return state_ != State::waiting && state_ != State::out;
  }
  [[nodiscard]] std::string told() const { return fmt::format("{}: {}", way_.text, reason_); }
  [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }
  /// When the next way may begin.
  [[nodiscard]] Clock::time_point head_start_ends() const {
    const auto span = is_refused_ ? std::min(way_.head_start, kRefusedSpan) : way_.head_start;
    return begun_ + span;
  }
  /// When it has something to do without an event.
  [[nodiscard]] Clock::time_point wakes() const {
    return state_ == State::pausing ? pause_ends_ : Clock::time_point::max();
  }
  [[nodiscard]] pollfd wanted() const {
    if (state_ == State::connecting) return {socket_.get(), POLLOUT, 0};
    if (state_ == State::listening) return {socket_.get(), POLLIN, 0};
    return {-1, 0, 0};
  }

  void begin() {
    begun_ = Clock::now();
    connect();
  }
  /// After a poll.
  void turn(bool is_ready) {
    if (state_ == State::pausing && Clock::now() >= pause_ends_) return connect();
    if (is_ready && state_ == State::connecting) return finish_connect();
    if (is_ready && state_ == State::listening) look_at_banner();
  }
  Fd take() { return std::move(socket_); }
  /// After accept() has refused the connection.
  void not_ours(const NotOurSshd& error, bool others_are_left) {
    reason_ = error.what();
    error_ = error;
    // Without another way the caller's deadline decides.
    if (error.code() == Errc::conflict || (error.code() == Errc::timed_out && others_are_left))
      state_ = State::out;
    else
      pause();
  }
  /// At the deadline.
  void cut_off() {
    // An attempt that began just before the deadline has no new reason.
    if (state_ == State::listening && !way_.open && Clock::now() - listens_since_ >= kCheckPeriod)
      reason_ = "it accepts the connection and sends no banner";
    if (state_ == State::listening && way_.open) add_words();
  }

 private:
  void connect() {
    words_ = nullptr;
    if (way_.open) return open();
    socket_.reset(::socket(way_.endpoint.address.ipv4() ? AF_INET : AF_INET6,
                           SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket_) throw Error::from_errno("socket", errno);
    if (connect_to(socket_.get(), way_.endpoint) == 0) return listen();
    if (errno != EINPROGRESS) return fail(errno);
    state_ = State::connecting;
  }

  void open() {
    try {
      auto stream = way_.open(deadline_);
      socket_ = std::move(stream.socket);
      words_ = std::move(stream.words);
      listen();
    } catch (const Error& error) {
      reason_ = error.what();
      pause();
    }
  }

  void finish_connect() {
    int error = 0;
    socklen_t length = sizeof error;
    ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    error == 0 ? listen() : fail(error);
  }

  void listen() {
    state_ = State::listening;
    listens_since_ = Clock::now();
  }

  // The engine's proxy accepts connections before sshd listens, and then hangs up.
  void look_at_banner() {
    std::array<char, 4> start{};
    const auto got = ::recv(socket_.get(), start.data(), start.size(), MSG_PEEK | MSG_DONTWAIT);
    const auto size = static_cast<std::size_t>(std::max<ssize_t>(got, 0));
    const bool fits = std::string_view("SSH-").starts_with(std::string_view(start.data(), size));
    if (size == start.size() && fits) {
      state_ = State::banner;
      return;
    }
    if (size > 0 && fits && Clock::now() - listens_since_ < kStartingSpan) return;  // the rest will come
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    reason_ = size == 0 ? "it hangs up before its banner" : "it sends no SSH banner";
    if (size > 0) {
      // A tunnel's or a proxy's own words may pass as well.
      return pause();
    }
    if (way_.open) add_words();
    is_refused_ = true;
    pause();
  }

  void add_words() {
    const auto words = words_ ? words_() : std::string();
    if (!words.empty()) reason_ = words;
  }

  void fail(int error) {
    reason_ = std::strerror(error);
    is_refused_ = error == ECONNREFUSED;
    if (!is_final(error)) return pause();
    socket_.reset();
    state_ = State::out;
  }

  void pause() {
    socket_.reset();
    state_ = State::pausing;
    const auto now = Clock::now();
    const bool is_starting = now - begun_ < kStartingSpan;
    pause_ends_ = now + (way_.open ? kStreamPause : is_starting ? kPause : kLongPause);
  }

  const Way& way_;
  Deadline deadline_;
  State state_ = State::waiting;
  Fd socket_;
  std::function<std::string()> words_;
  std::string reason_ = "it does not answer";
  std::optional<Error> error_;
  bool is_refused_ = false;
  Clock::time_point begun_{};
  Clock::time_point listens_since_{};
  Clock::time_point pause_ends_{};
};

using Attempts = std::vector<Attempt>;

// Starts those whose turn it is. Returns when the next one's is.
Clock::time_point begin_due(Attempts& attempts) {
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    if (attempts[i].state() != Attempt::State::waiting) continue;
    const bool is_alone = std::none_of(attempts.begin(), attempts.begin() + static_cast<std::ptrdiff_t>(i),
                                       [](const Attempt& one) { return one.is_under_way(); });
    if (!is_alone && Clock::now() < attempts[i - 1].head_start_ends())
      return attempts[i - 1].head_start_ends();
    attempts[i].begin();
  }
  return Clock::time_point::max();
}

std::string all_reasons(const Attempts& attempts) {
  std::string out;
  for (const auto& one : attempts)
    if (one.state() != Attempt::State::waiting) out += (out.empty() ? "" : "; ") + one.told();
  return out;
}

Error no_way(const Attempts& attempts) {
  const auto failed =
      std::ranges::find_if(attempts, [](const Attempt& one) { return one.error().has_value(); });
  if (failed == attempts.end())
    return {Errc::timed_out,
            fmt::format("ssh banner: the sidecar's sshd does not serve: {}", all_reasons(attempts))};
  const auto& error = *failed->error();
  if (attempts.size() == 1) return error;
  return {error.code(),
          fmt::format("ssh banner: the sidecar's sshd does not serve: {}", all_reasons(attempts)),
          error.hint()};
}

milliseconds span_until(Clock::time_point when) {
  const auto now = Clock::now();
  if (when <= now) return milliseconds{0};
  if (when - now > kCheckPeriod) return kCheckPeriod;
  return std::chrono::ceil<milliseconds>(when - now);
}

}  // namespace

std::size_t dial_sshd(std::span<const Way> ways, Deadline deadline, const std::function<void()>& still_there,
                      const Accept& accept, milliseconds handshake) {
  // Ignores a check that the deadline cut off: sshd was late, not the engine.
  const auto look = [&] {
    const auto began = Clock::now();
    try {
      still_there();
    } catch (const Error& error) {
      const bool cut_off = deadline.expired() && Clock::now() - began < kUsualLook;
      if (error.code() != Errc::timed_out || !cut_off) throw;
    }
  };
  Attempts attempts;
  for (const auto& way : ways) attempts.emplace_back(way, deadline);
  std::vector<pollfd> polls(attempts.size());
  auto next_check = Deadline::after(kCheckPeriod);
  for (;;) {
    const auto next_begin = begin_due(attempts);
    auto span =
        std::min({kCheckPeriod, next_check.remaining(), deadline.remaining(), span_until(next_begin)});
    for (std::size_t i = 0; i < attempts.size(); ++i) {
      polls[i] = attempts[i].wanted();
      span = std::min(span, span_until(attempts[i].wakes()));
    }
    if (::poll(polls.data(), polls.size(), static_cast<int>(span.count())) < 0 && errno != EINTR)
      throw Error::from_errno("poll", errno);
    for (std::size_t i = 0; i < attempts.size(); ++i) {
      auto& one = attempts[i];
      one.turn(polls[i].revents != 0);
      if (one.state() != Attempt::State::banner) continue;
      const bool others_are_left = std::ranges::any_of(attempts, [&](const Attempt& other) {
        return &other != &one && other.state() != Attempt::State::out;
      });
      try {
        accept(one.take(),
               others_are_left ? Deadline::after(std::min(handshake, deadline.remaining())) : deadline);
        return i;
      } catch (const NotOurSshd& error) {
        one.not_ours(error, others_are_left && !deadline.expired());
      }
    }
    if (deadline.expired()) {
      for (auto& one : attempts) one.cut_off();
      throw no_way(attempts);
    }
    if (std::ranges::all_of(attempts, [](const Attempt& one) { return one.state() == Attempt::State::out; }))
      throw no_way(attempts);
    if (next_check.expired()) {
      look();
      next_check = Deadline::after(kCheckPeriod);
    }
  }
}

}  // namespace hostnet::ssh
