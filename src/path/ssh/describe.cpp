// The sidecar, and what went through the tunnel so far.
#include "path/ssh/describe.hpp"

#include <fmt/format.h>

namespace hostnet::exposer {
namespace {

// "by address 172.18.0.3:22", "by exec"
std::string dialled_text(const state::TunnelStats& stats) {
  if (stats.dialled_by.empty()) return {};
  return fmt::format(" by {}{}{}", stats.dialled_by, stats.dialled_at.empty() ? "" : " ", stats.dialled_at);
}

// "up, aes128-gcm@openssh.com on 2 sessions by address 172.18.0.3:22, 3 connections open of 120, 1.2 MB to the host, 3.0 kB from it"
std::string tunnel_text(const state::TunnelStats& stats) {
  return fmt::format("{}{}{}, {} on {} session{}{}, {}", stats.state, stats.reason.empty() ? "" : ": ",
                     stats.reason, stats.cipher, stats.sessions, stats.sessions == 1 ? "" : "s",
                     dialled_text(stats), state::carried(stats));
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
                                             {"dialled_by", stats.dialled_by},
                                             {"dialled_at", stats.dialled_at},
                                             {"reconnects", stats.reconnects},
                                             {"connections_open", stats.open},
                                             {"connections", stats.accepted},
                                             {"refused_strangers", stats.strangers},
                                             {"refused_unserved", stats.unserved},
                                             {"bytes_to_host", stats.bytes_to_host},
                                             {"bytes_from_host", stats.bytes_from_host}}}}};
}

}  // namespace hostnet::exposer
