// Services and clients that move many bytes or make many connections, each with a poll loop of its own or a
// thread a connection where there are few.
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

/// The byte at a place of an endless stream that does not repeat within a megabyte.
inline std::uint8_t pattern(std::size_t at) { return static_cast<std::uint8_t>((at * 31) ^ (at >> 11)); }

/// Writes the first `length` bytes of the pattern. Returns how many the other side took.
std::size_t send_pattern(const hostnet::Fd& to, std::size_t length);

/// Reads until the end and compares with the pattern. Returns the number of bytes, all of them right. @throws
/// std::runtime_error at the first wrong byte, or at an error of the socket unless there is an `error` for
/// it: then that is set, and the bytes before it count.
std::size_t receive_pattern(const hostnet::Fd& from, int* error = nullptr);

/// Accepts connections until it goes, and hands each to `serve` in a thread of its own. Its destructor waits
/// for all of them.
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

/// As many connections at once as asked for, made without waiting for one another.
struct Burst {
  std::vector<hostnet::Fd> connected;
  int refused = 0;
};
Burst connect_all(hostnet::Endpoint to, int count, std::chrono::milliseconds patience);

/// Waits until each has said something; returns how many did.
int greeted(const std::vector<hostnet::Fd>& connections, std::chrono::milliseconds patience);

/// Of this process, all threads.
std::chrono::milliseconds cpu_time();
/// Of this process, in MiB.
std::size_t resident_mib();
/// Descriptors that this process has open.
std::size_t open_descriptors();

}  // namespace test
