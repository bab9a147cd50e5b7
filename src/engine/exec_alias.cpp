// Edits the hosts file from inside the container.
#include "engine/exec_alias.hpp"

#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <utility>

namespace hostnet::engine {
namespace {

std::string run_inside(Containers& containers, const Container& container, std::vector<std::string> command,
                       std::string_view what, Deadline deadline) {
  const auto program = command.front();
  auto result = containers.exec(
      container.id, {.command = std::move(command), .user = "0", .environment = {}, .working_dir = {}},
      deadline);
  if (result.exit_code == 0) return std::move(result.out);
  const auto said = trim(result.err.empty() ? result.out : result.err);
  // The runtime's exit codes for a program that does not exist or cannot run.
  const bool missing = result.exit_code == 126 || result.exit_code == 127;
  throw Error(
      Errc::failure,
      fmt::format("cannot {} the hosts file of container {}: {}", what, container.name,
                  missing ? fmt::format("it has no {}", program) : std::string(said)),
      "expose to a user-defined network, where the name needs no hosts file: --network; or add --no-alias");
}

void put_inside(Containers& containers, const Container& container, const std::string& hosts,
                Deadline deadline) {
  run_inside(containers, container, {"sh", "-c", R"(printf %s "$1" >/etc/hosts)", "sh", hosts}, "write",
             deadline);
}

}  // namespace

std::string read_hosts_inside(Containers& containers, const Container& container, Deadline deadline) {
  return run_inside(containers, container, {"cat", "/etc/hosts"}, "read", deadline);
}

AliasResult write_alias_inside(Containers& containers, const Container& container, std::string_view alias,
                               Ip address, std::string_view lease, Deadline deadline,
                               std::span<const std::string> beside, std::optional<Ip> bare) {
  auto hosts = read_hosts_inside(containers, container, deadline);
  if (bare) {
    auto marked = with_marks(hosts, alias, *bare, lease);
    if (marked != hosts) put_inside(containers, container, marked, deadline);
    hosts = std::move(marked);
  }
  if (const auto others = definition_by_others(hosts, alias, lease, beside)) {
    if (Ip::parse(others->address) != address) throw already_defined(alias, container.name, *others);
    if (others->lease.empty()) return AliasResult::already_there;
  }
  const auto wanted = with_alias(hosts, alias, address, lease);
  if (wanted == hosts) return AliasResult::written;
  run_inside(containers, container,
             {"sh", "-c", R"(printf %s "$1" >>/etc/hosts)", "sh", wanted.substr(hosts.size())}, "write",
             deadline);
  return AliasResult::written;
}

void remove_alias_inside(Containers& containers, const Container& container, std::string_view lease,
                         Deadline deadline, std::string_view alias, std::optional<Ip> bare) {
  try {
    const auto hosts = read_hosts_inside(containers, container, deadline);
    const auto wanted = without_alias(bare ? with_marks(hosts, alias, *bare, lease) : hosts, lease);
    if (wanted != hosts) put_inside(containers, container, wanted, deadline);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found && error.code() != Errc::conflict) throw;
  }
}

}  // namespace hostnet::engine
