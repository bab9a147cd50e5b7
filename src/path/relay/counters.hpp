// What a lease's connections have carried so far.
#pragma once

#include <atomic>
#include <cstdint>

namespace hostnet::relay {

/// The relay's thread counts; any thread reads.
struct Counters {
  std::atomic<std::uint64_t> accepted{0};  ///< Connections, or sources of datagrams, joined to the service.
  std::atomic<std::uint64_t> unserved{0};  ///< Reset, because the service refused; or datagrams.
  std::atomic<std::uint64_t> strangers{
      0};  ///< Reset, because of who they were (peers.hpp); or datagrams dropped.
  std::atomic<std::uint64_t> bytes_to_host{0};    ///< Payload.
  std::atomic<std::uint64_t> bytes_from_host{0};  ///< Payload.
  std::atomic<std::int64_t> open{0};
  /// The errno of the last listen(2), 0 if it succeeded. EADDRINUSE: another socket there took the port while
  /// ours refused connections.
  std::atomic<int> listen_error{0};
};

}  // namespace hostnet::relay
