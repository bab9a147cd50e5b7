// Services and clients that move many bytes or make many connections, with a poll loop, or with one thread
// per connection if there are few.
#pragma once

#include "core/fd.hpp"
#include "core/ipv4.hpp"
#include "core/sanitized.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace test {

using hostnet::kSanitized;

/// The byte at position `at` of an endless stream that does not repeat within a megabyte.
inline std::uint8_t pattern(std::size_t at) { return static_cast<std::uint8_t>((at * 31) ^ (at >> 11)); }

/// Writes the first `length` bytes of the pattern. Returns how many the peer accepted.
std::size_t send_pattern(const hostnet::Fd& to, std::size_t length);

/// Reads until the end and compares with the pattern. Returns the number of bytes, all correct. With `error`,
/// a socket error sets it and the bytes before it count. @throws std::runtime_error at the first wrong byte,
/// or at a socket error without `error`.
std::size_t receive_pattern(const hostnet::Fd& from, int* error = nullptr);

/// Accepts connections until its destruction and runs `serve` for each in its own thread. The destructor
/// waits for all of them.
class Listener {
 public:
  Listener(hostnet::Fd socket, std::function<void(hostnet::Fd)> serve);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener();

 private:
  hostnet::Fd socket_;
  hostnet::Fd stop_;
  std::vector<std::jthread> servers_;
  std::jthread thread_;
};

/// Simultaneous connections, made without waiting for one another.
struct Burst {
  std::vector<hostnet::Fd> connected;
  int refused = 0;
};
Burst connect_all(hostnet::Endpoint to, int count, std::chrono::milliseconds patience);

/// Waits until each has received something; returns how many did.
int greeted(const std::vector<hostnet::Fd>& connections, std::chrono::milliseconds patience);

/// Processor time of all threads of this process.
std::chrono::milliseconds cpu_time();
/// Resident memory of this process, in MiB.
std::size_t resident_mib();
/// Descriptors that this process has open.
std::size_t open_descriptors();

}  // namespace test
