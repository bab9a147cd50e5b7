// The gate's two threads.
#include "daemon/bus_gate.hpp"

#include "core/log.hpp"
#include "core/thread.hpp"
#include "daemon/decision_log.hpp"
#include "dbus/names.hpp"
#include "hostnet/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>

namespace hostnet::daemon {
namespace {

constexpr const char* kBusName = "org.freedesktop.DBus";
constexpr const char* kLimitsExceeded = "org.freedesktop.DBus.Error.LimitsExceeded";
constexpr std::size_t kShare = 192UL << 10;
constexpr std::size_t kReserve = 2 * kShare;  // includes kShare
constexpr std::size_t kSenderReserve = 16UL << 10;
constexpr std::size_t kMessageCost = 1024;          // the least that an sd_bus_message takes
constexpr std::uint32_t kFirstSerial = 0x80000000;  // sd-bus numbers its own messages from 1
constexpr unsigned kReportsPerSecond = 10;
constexpr std::size_t kMaxDescriptors = 253;  // the kernel's limit for one message

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

bool send_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
  return true;
}

// recv(2) has no room for descriptors: the kernel closes them.
bool receive_all(int fd, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const auto got = ::recv(fd, bytes.data(), bytes.size(), MSG_WAITALL);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

// Also receives the descriptors that come with the bytes.
bool receive_all(int fd, std::span<std::byte> bytes, std::vector<Fd>& descriptors) {
  while (!bytes.empty()) {
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int) * kMaxDescriptors)> control;
    iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const auto got = ::recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    for (auto* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
      const auto count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (std::size_t i = 0; i < count; ++i) {
        int number = -1;
        std::memcpy(&number, CMSG_DATA(header) + i * sizeof number, sizeof number);
        descriptors.emplace_back(number);
      }
    }
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

bool send_all(int fd, std::span<const std::byte> bytes, std::vector<Fd>& descriptors) {
  if (descriptors.empty()) return send_all(fd, bytes);
  if (descriptors.size() > kMaxDescriptors) return false;
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int) * kMaxDescriptors)> control{};
  const auto size = descriptors.size() * sizeof(int);
  iovec part{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(size);
  auto* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(size);
  for (std::size_t i = 0; i < descriptors.size(); ++i) {
    const int number = descriptors[i].get();
    std::memcpy(CMSG_DATA(header) + i * sizeof number, &number, sizeof number);
  }
  ssize_t sent = -1;
  do sent = ::sendmsg(fd, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent <= 0) return false;
  descriptors.clear();
  return send_all(fd, bytes.subspan(static_cast<std::size_t>(sent)));
}

Fd duplicate_of(int fd) {
  Fd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy) throw Error::from_errno("duplicate the bus connection", errno);
  return copy;
}

}  // namespace

// The rest of a message in the socket. Skipped bytes go through a scratch buffer.
class BusGate::Incoming final : public ByteSource {
 public:
  Incoming(int fd, std::span<std::byte> scratch, std::size_t left)
      : fd_(fd), scratch_(scratch), left_(left) {}
  bool read(std::span<std::byte> into) override {
    if (into.size() > left_) return false;
    left_ -= into.size();
    return receive_all(fd_, into);
  }
  bool skip(std::size_t count) override {
    if (count > left_) return false;
    while (count > 0) {
      const auto part = std::min(count, scratch_.size());
      left_ -= part;
      count -= part;
      if (!receive_all(fd_, scratch_.first(part))) return false;
    }
    return true;
  }
  bool skip_rest() { return skip(left_); }

 private:
  int fd_;
  std::span<std::byte> scratch_;
  std::size_t left_;
};

BusGate::BusGate(int fd) : bus_(duplicate_of(fd)), buffer_(kMaxMessageSize) {
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0)
    throw Error::from_errno("socketpair", errno);
  inside_.reset(pair[0]);
  const Fd theirs(pair[1]);
  // The threads block. sd-bus never does.
  const int flags = ::fcntl(bus_.get(), F_GETFL);
  if (flags < 0 || ::fcntl(theirs.get(), F_SETFL, O_NONBLOCK) != 0 ||
      ::fcntl(bus_.get(), F_SETFL, flags & ~O_NONBLOCK) != 0 || ::dup3(theirs.get(), fd, O_CLOEXEC) < 0)
    throw Error::from_errno("put the gate in front of the bus connection", errno);
  inward_ = start_thread("tchn-bus-in", [this] { carry(&BusGate::take_in); });
  try {
    outward_ = start_thread("tchn-bus-out", [this] { carry(&BusGate::take_out); });
  } catch (...) {
    close();
    inward_.join();
    throw;
  }
}

BusGate::~BusGate() {
  outward_.join();
  close();
  inward_.join();
}

void BusGate::close() noexcept {
  {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
  ::shutdown(bus_.get(), SHUT_RDWR);
  ::shutdown(inside_.get(), SHUT_RDWR);
}

// Calls `take` for each message until it returns false or throws. sd-bus can then still read what it was
// sent, and then end of file; what it writes from then on is lost.
void BusGate::carry(bool (BusGate::*take)()) {
  try {
    while ((this->*take)()) {
    }
  } catch (const std::exception& error) {
    log::error("giving up the bus connection: {}", error.what());
  }
  close();
}

// Forwards one message inward. Returns false at the end of the connection.
bool BusGate::take_in() {
  const std::span<std::byte> buffer(buffer_);
  const auto front = buffer.first<Preamble::kSize>();
  if (!receive_all(bus_.get(), front)) return false;
  const auto preamble = Preamble::parse(front);
  if (!preamble) throw Error(Errc::failure, "the bus sent something that is not a D-Bus message");
  const auto rest = preamble->size() - Preamble::kSize;
  if (preamble->size() <= kMaxMessageSize) {
    const auto message = buffer.first(preamble->size());
    if (!receive_all(bus_.get(), message.subspan(Preamble::kSize))) return false;
    Bytes source(message.subspan(Preamble::kSize));
    judge(*preamble, Fields::read(*preamble, source), true);
    return true;
  }
  Incoming source(bus_.get(), buffer, rest);
  const auto fields = Fields::read(*preamble, source);
  if (!source.skip_rest()) return false;
  judge(*preamble, fields, false);
  return true;
}

// `whole`: the buffer holds the message; otherwise the message was too large for it.
void BusGate::judge(const Preamble& preamble, const std::optional<Fields>& fields, bool whole) {
  if (!fields) return log::warn("dropped a message of {} bytes with a malformed header", preamble.size());
  const auto message = std::span<const std::byte>(buffer_).first(whole ? preamble.size() : 0);
  std::string instead;
  switch (preamble.type) {
    case MessageType::call: {
      auto refusal = whole ? judge_call(preamble, *fields, message.subspan(preamble.header_size()))
                           : too_large(preamble.size());
      if (!refusal && !admit(fields->sender, preamble.size()))
        refusal = Refusal{kLimitsExceeded, "too many requests are queued; try again"};
      if (refusal) return refuse(preamble, *fields, *refusal);
      break;
    }
    case MessageType::reply:
    case MessageType::error:
      if (!settle(fields->reply_serial)) return;
      if (!whole || fields->descriptors > 0)
        instead = error_message(next_serial(), fields->reply_serial, fields->destination, kLimitsExceeded,
                                "the answer is too large");
      break;
    case MessageType::signal:
      if (!whole || !judge_signal(preamble, *fields)) return;
      break;
    default:
      return;  // the D-Bus specification says: ignore unknown types
  }
  if (!send_all(inside_.get(), instead.empty() ? message : bytes_of(instead)))
    throw Error(Errc::failure, "the daemon closed the connection");
}

void BusGate::refuse(const Preamble& preamble, const Fields& fields, const Refusal& refusal) {
  report(fields, refusal);
  if (!preamble.expects_reply() || fields.sender.empty()) return;
  const auto answer =
      error_message(next_serial(), preamble.serial, fields.sender, refusal.error, refusal.text);
  const std::scoped_lock lock(writing_);
  if (!send_all(bus_.get(), bytes_of(answer))) throw Error(Errc::failure, "the bus closed the connection");
}

std::uint32_t BusGate::next_serial() noexcept {
  last_serial_ = std::max(last_serial_ + 1, kFirstSerial);
  return last_serial_;
}

// Whether a call may pass inward. Waits for room unless the loop waits for the bus.
bool BusGate::admit(const std::string& sender, std::size_t size) {
  const auto cost = std::max(size, kMessageCost);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return closed_ || queued_ + cost <= kShare || of_bus_ > 0; });
  const auto theirs = of_sender_.find(sender);
  const auto before = theirs == of_sender_.end() ? 0 : theirs->second;
  if (queued_ + cost > kShare && (before + cost > kSenderReserve || queued_ + cost > kReserve)) return false;
  queued_ += cost;
  of_sender_[sender] += cost;
  return true;
}

void BusGate::drained() {
  {
    const std::scoped_lock lock(mutex_);
    if (queued_ == 0) return;
    queued_ = 0;
    of_sender_.clear();
  }
  changed_.notify_all();
}

// Whether this serial answers an open call. Closes the call.
bool BusGate::settle(std::uint32_t serial) {
  const std::scoped_lock lock(mutex_);
  const auto found = open_.find(serial);
  if (found == open_.end()) return false;
  if (found->second) --of_bus_;
  open_.erase(found);
  return true;
}

void BusGate::note(const Preamble& preamble, const Fields& fields) {
  if (!preamble.expects_reply()) return;
  const bool of_bus = fields.destination == kBusName;
  {
    const std::scoped_lock lock(mutex_);
    if (open_.insert_or_assign(preamble.serial, of_bus).second && of_bus) ++of_bus_;
  }
  changed_.notify_all();
}

bool BusGate::take_out() {
  std::vector<Fd> descriptors;
  std::vector<std::byte> header(Preamble::kSize);
  if (!receive_all(inside_.get(), header, descriptors)) return false;
  const auto preamble = Preamble::parse(std::span<std::byte>(header).first<Preamble::kSize>());
  if (!preamble || preamble->header_size() > kMaxMessageSize)
    throw Error(Errc::failure, "sd-bus sent something that is not a D-Bus message");
  header.resize(preamble->header_size());
  if (!receive_all(inside_.get(), std::span<std::byte>(header).subspan(Preamble::kSize), descriptors))
    return false;
  Bytes source(std::span<std::byte>(header).subspan(Preamble::kSize));
  if (const auto fields = Fields::read(*preamble, source)) note(*preamble, *fields);
  const std::scoped_lock lock(writing_);
  if (!send_all(bus_.get(), header, descriptors)) return false;
  std::array<std::byte, 16384> part{};
  for (std::size_t left = preamble->body_size; left > 0;) {
    const auto piece = std::span<std::byte>(part).first(std::min(left, part.size()));
    if (!receive_all(inside_.get(), piece) || !send_all(bus_.get(), piece)) return false;
    left -= piece.size();
  }
  return true;
}

// Logs a refusal. Limits refusals to kReportsPerSecond lines, so that a flood does not fill the log.
void BusGate::report(const Fields& fields, const Refusal& refusal) {
  const auto now = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now().time_since_epoch())
          .count());
  if (now != reported_in_) {
    if (reported_ > kReportsPerSecond)
      log::info("refused {} more messages in that second", reported_ - kReportsPerSecond);
    reported_in_ = now;
    reported_ = 0;
  }
  if (++reported_ > kReportsPerSecond) return;
  record({.caller = fields.sender, .method = fields.interface + "." + fields.member, .reason = refusal.text});
}

}  // namespace hostnet::daemon
