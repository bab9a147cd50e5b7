// Edits the hosts file from inside the container.
#include "engine/exec_alias.hpp"

#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <optional>
#include <utility>

namespace hostnet::engine {
namespace {

using Edited = std::optional<AliasResult>;  // nothing: the file was changed by somebody else at that moment

constexpr int kChanged = 75;  // EX_TEMPFAIL of sysexits.h, exit code of kIfUnchanged

// Takes the lock that every other editor takes (engine/alias.hpp), if the image has flock(1); polling, because
// busybox does not always have -w. A process in the container may hold the lock for ever: after 2 s this goes on
// without it.
constexpr std::string_view kIfUnchanged = R"sh(exec 9</etc/hosts
if command -v flock >/dev/null 2>&1; then
  i=0
  until flock -n 9 || [ $i -ge 20 ]; do
    i=$((i + 1))
    sleep 0.1 2>/dev/null || { sleep 1; i=$((i + 9)); }
  done
fi
[ "$(cat /etc/hosts)" = "$(printf %s "$1")" ] || exit 75
printf %s "$2" )sh";

ExecResult run_inside(Containers& containers, const Container& container, std::vector<std::string> command,
                      std::string_view what, Deadline deadline) {
  const auto program = command.front();
  auto result = containers.exec(
      container.id, {.command = std::move(command), .user = "0", .environment = {}, .working_dir = {}},
      deadline);
  if (result.exit_code == 0 || result.exit_code == kChanged) return result;
  const auto said = trim(result.err.empty() ? result.out : result.err);
  // The runtime's exit codes for a program that does not exist or cannot run.
  const bool missing = result.exit_code == 126 || result.exit_code == 127;
  throw Error(
      Errc::failure,
      fmt::format("cannot {} the hosts file of container {}: {}", what, container.name,
                  missing ? fmt::format("it has no {}", program) : std::string(said)),
      "expose to a user-defined network, where the name needs no hosts file: --network; or add --no-alias");
}

// False if the file is no longer `before`. `how` is the shell's redirection.
bool edit_inside(Containers& containers, const Container& container, const std::string& before,
                 const std::string& text, std::string_view how, Deadline deadline) {
  const auto script = fmt::format("{}{}/etc/hosts", kIfUnchanged, how);
  return run_inside(containers, container, {"sh", "-c", script, "sh", before, text}, "write", deadline)
             .exit_code == 0;
}

bool put_inside(Containers& containers, const Container& container, const std::string& before,
                const std::string& after, Deadline deadline) {
  return after == before || edit_inside(containers, container, before, after, ">", deadline);
}

Edited try_to_write(Containers& containers, const Container& container, std::string_view alias, Ip address,
                    std::string_view lease, Deadline deadline, std::span<const std::string> beside,
                    std::optional<Ip> bare) {
  auto hosts = read_hosts_inside(containers, container, deadline);
  if (bare) {
    auto marked = with_marks(hosts, alias, *bare, lease);
    if (!put_inside(containers, container, hosts, marked, deadline)) return std::nullopt;
    hosts = std::move(marked);
  }
  if (const auto others = definition_by_others(hosts, alias, lease, beside)) {
    if (Ip::parse(others->address) != address) throw already_defined(alias, container.name, *others);
    if (others->lease.empty()) return AliasResult::already_there;
  }
  const auto wanted = with_alias(hosts, alias, address, lease);
  if (wanted != hosts &&
      !edit_inside(containers, container, hosts, wanted.substr(hosts.size()), ">>", deadline))
    return std::nullopt;
  return AliasResult::written;
}

}  // namespace

std::string read_hosts_inside(Containers& containers, const Container& container, Deadline deadline) {
  return run_inside(containers, container, {"cat", "/etc/hosts"}, "read", deadline).out;
}

AliasResult write_alias_inside(Containers& containers, const Container& container, std::string_view alias,
                               Ip address, std::string_view lease, Deadline deadline,
                               std::span<const std::string> beside, std::optional<Ip> bare) {
  for (;;)  // until the deadline, at which a command throws
    if (const auto result =
            try_to_write(containers, container, alias, address, lease, deadline, beside, bare))
      return *result;
}

void remove_alias_inside(Containers& containers, const Container& container, std::string_view lease,
                         Deadline deadline, std::string_view alias, std::optional<Ip> bare) {
  try {
    for (;;) {
      const auto hosts = read_hosts_inside(containers, container, deadline);
      const auto wanted = without_alias(bare ? with_marks(hosts, alias, *bare, lease) : hosts, lease);
      if (put_inside(containers, container, hosts, wanted, deadline)) return;
    }
  } catch (const Error& error) {
    if (error.code() != Errc::not_found && error.code() != Errc::conflict) throw;
  }
}

}  // namespace hostnet::engine
