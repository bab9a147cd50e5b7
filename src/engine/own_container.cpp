// Reads the candidates, and asks the engine about each.
#include "engine/own_container.hpp"

#include "core/file.hpp"
#include "core/log.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "netlink/link.hpp"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>

namespace hostnet::engine {
namespace {

constexpr std::size_t kIdLength = 64;

bool is_hexadecimal(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string own_hostname() {
  utsname names{};
  return ::uname(&names) == 0 ? names.nodename : "";
}

bool has_one_of_our_addresses(const std::vector<Endpoint>& endpoints) {
  try {
    const auto here = netlink::Rtnl().addresses();
    return std::ranges::any_of(endpoints, [&](const Endpoint& endpoint) {
      return endpoint.address && netlink::has_address(here, *endpoint.address);
    });
  } catch (const Error&) {
    return false;
  }
}

// Whether the engine's number of the container's first process is that process's number here. With processes of its own,
// any of the container's may have that number here.
bool has_same_pids(const Container& container) {
  const auto process = fmt::format("/proc/{}", container.pid);
  if (container.pid <= 0 || container.pid_mode != "host") return false;
  if (container_id_in(try_read_file(process + "/mountinfo").value_or("")) == container.id) return true;
  const auto ids = container_ids_in_cgroup(try_read_file(process + "/cgroup").value_or(""));
  return std::ranges::find(ids, container.id) != ids.end();
}

std::optional<OwnContainer> confirmed(Client& client, const std::string& candidate, bool by_address,
                                      Deadline deadline) {
  const auto container = client.container(candidate, deadline);
  if (!container.running) return std::nullopt;
  OwnContainer own{.id = container.id,
                   .name = container.name,
                   .host_network = container.network_mode == "host",
                   .same_pids = has_same_pids(container),
                   .endpoints = container.endpoints};
  constexpr std::string_view shared = "container:";
  if (container.network_mode.starts_with(shared)) {
    const auto other = client.container(container.network_mode.substr(shared.size()), deadline);
    own.host_network = other.network_mode == "host";
    own.endpoints = other.endpoints;
  }
  const bool agrees = has_one_of_our_addresses(own.endpoints) ||
                      (!by_address && !container.hostname.empty() && container.hostname == own_hostname());
  if (!agrees) return std::nullopt;
  return own;
}

}  // namespace

std::string container_id_in(std::string_view mountinfo) {
  constexpr std::string_view folder = "containers/";
  constexpr std::array<std::string_view, 3> files{"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"};
  for (const auto line : split(mountinfo, '\n')) {
    // 36 35 98:0 /docker/containers/ID/hosts /etc/hosts rw,noatime - ext4 /dev/root rw
    const auto fields = split(line, ' ');
    if (fields.size() < 5 || std::ranges::find(files, fields[4]) == files.end()) continue;
    const auto at = fields[3].rfind(folder);
    if (at == std::string_view::npos) continue;
    const auto id = fields[3].substr(at + folder.size(), kIdLength);
    const auto rest = fields[3].substr(std::min(fields[3].size(), at + folder.size() + kIdLength));
    if (id.size() == kIdLength && is_hexadecimal(id) && rest.starts_with('/')) return std::string(id);
  }
  return {};
}

std::vector<std::string> container_ids_in_cgroup(std::string_view cgroup) {
  std::vector<std::string> out;
  std::size_t run = 0;
  for (std::size_t i = 0; i < cgroup.size(); ++i) {
    run = is_hexadecimal(cgroup.substr(i, 1)) ? run + 1 : 0;
    if (run != kIdLength) continue;
    const auto id = cgroup.substr(i + 1 - kIdLength, kIdLength);
    if (i + 1 < cgroup.size() && is_hexadecimal(cgroup.substr(i + 1, 1))) continue;  // a longer number
    if (std::ranges::find(out, id) == out.end()) out.emplace_back(id);
  }
  std::ranges::reverse(out);
  return out;
}

bool looks_like_short_id(std::string_view hostname) {
  return hostname.size() == 12 && is_hexadecimal(hostname);
}

std::optional<OwnContainer> find_own_container(Client& client, Deadline deadline) {
  struct Candidate {
    std::string id;
    bool by_address;
  };
  std::vector<Candidate> candidates;
  if (auto id = container_id_in(try_read_file("/proc/thread-self/mountinfo").value_or("")); !id.empty())
    candidates.push_back({std::move(id), false});
  for (auto& id : container_ids_in_cgroup(try_read_file("/proc/thread-self/cgroup").value_or("")))
    candidates.push_back({std::move(id), false});
  if (auto name = own_hostname(); looks_like_short_id(name)) candidates.push_back({std::move(name), true});
  for (const auto& [id, by_address] : candidates) {
    try {
      if (auto own = confirmed(client, id, by_address, deadline)) return own;
    } catch (const Error& error) {
      if (error.code() != Errc::not_found && error.code() != Errc::conflict) throw;
    }
    log::debug("container {} is not confirmed as this program's by the engine at {}", id.substr(0, 12),
               client.address().socket);
  }
  return std::nullopt;
}

}  // namespace hostnet::engine
