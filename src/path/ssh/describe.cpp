// The sidecar, and what went through the tunnel so far.
#include "path/ssh/describe.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdint>

namespace hostnet::exposer {
namespace {

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array units{"B", "kB", "MB", "GB", "TB"};
  auto amount = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; amount >= 1000 && unit + 1 < units.size(); ++unit) amount /= 1000;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", amount, units[unit]);
}

// "up, aes128-gcm@openssh.com on 2 sessions, 3 connections open of 120, 1.2 MB to the host, 3.0 kB from it"
std::string tunnel_text(const state::TunnelStats& stats) {
  return fmt::format("{}{}{}, {} on {} session{}, {} connections open of {}, {} to the host, {} from it",
                     stats.state, stats.reason.empty() ? "" : ": ", stats.reason, stats.cipher,
                     stats.sessions, stats.sessions == 1 ? "" : "s", stats.open, stats.accepted,
                     bytes_text(stats.bytes_to_host), bytes_text(stats.bytes_from_host));
}

}  // namespace

RecordView describe_tunnel(const state::TunnelRecord& record) {
  const auto& stats = record.stats;
  return {.kind = "sidecar",
          .id = record.sidecar.substr(0, 12),
          .way = "tunnel",
          .state = tunnel_text(stats),
          .members = {{"sidecar", json::Item(record.sidecar)},
                      {"tunnel", json::Value{{"state", stats.state},
                                             {"reason", stats.reason},
                                             {"cipher", stats.cipher},
                                             {"sessions", stats.sessions},
                                             {"reconnects", stats.reconnects},
                                             {"connections_open", stats.open},
                                             {"connections", stats.accepted},
                                             {"refused_strangers", stats.strangers},
                                             {"refused_unserved", stats.unserved},
                                             {"bytes_to_host", stats.bytes_to_host},
                                             {"bytes_from_host", stats.bytes_from_host}}}}};
}

}  // namespace hostnet::exposer
