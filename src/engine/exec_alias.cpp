// Edits the hosts file from inside the container.
#include "engine/exec_alias.hpp"

#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace hostnet::engine {
namespace {

using Edited = std::optional<AliasResult>;  // nothing: another editor changed the file at that moment

constexpr int kChanged = 75;  // EX_TEMPFAIL of sysexits.h, exit code of kIfUnchanged
constexpr int kMostRounds = 40;
constexpr std::chrono::milliseconds kRoundPause{50};
// Less than the kernel's limit for an argument (execve(2)).
constexpr std::size_t kLongestPiece = 100'000;

// $1 is the count of the pieces of the text that the file had; the rest are those of what is written. Takes the
// lock that every other editor takes (engine/alias.hpp), if the image has flock(1); polling, because busybox does
// not always have -w. A process in the container may hold the lock for ever: after a second this goes on without.
constexpr std::string_view kIfUnchanged = R"sh(had= n=$1; shift
while [ $n -gt 0 ]; do had="$had$1"; n=$((n - 1)); shift; done
exec 9</etc/hosts
if command -v flock >/dev/null 2>&1; then
  n=0
  until flock -n 9 || [ $n -ge 10 ]; do
    n=$((n + 1))
    sleep 0.1 2>/dev/null || { sleep 1; n=10; }
  done
fi
[ "$(cat /etc/hosts)" = "$(printf %b "$had")" ] || exit 75
for text in "$@"; do printf %b "$text"; done )sh";

// The text for printf's %b, in pieces. A hosts file may have bytes that are not UTF-8, which JSON would change.
std::vector<std::string> pieces(std::string_view text) {
  std::vector<std::string> out(1);
  for (const char one : text) {
    const auto byte = static_cast<unsigned char>(one);
    if (out.back().size() > kLongestPiece) out.emplace_back();
    if (one == '\\' || byte >= 0x7f || (byte < ' ' && one != '\n' && one != '\t'))
      out.back() += fmt::format("\\0{:03o}", byte);
    else
      out.back() += one;
  }
  return out;
}

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
  const auto had = pieces(before);
  std::vector<std::string> command{"sh", "-c", fmt::format("{}{}/etc/hosts", kIfUnchanged, how), "sh",
                                   std::to_string(had.size())};
  std::ranges::move(had, std::back_inserter(command));
  std::ranges::move(pieces(text), std::back_inserter(command));
  return run_inside(containers, container, std::move(command), "write", deadline).exit_code == 0;
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

// Until no other editor has changed the file in the meantime.
template <class Edit>
AliasResult in_rounds(const Container& container, Edit edit) {
  for (int round = 0; round < kMostRounds; ++round) {
    if (round > 0) std::this_thread::sleep_for(kRoundPause);
    if (const Edited result = edit()) return *result;
  }
  throw Error(
      Errc::failure,
      fmt::format("cannot write the hosts file of container {}: it changes all the time", container.name));
}

}  // namespace

std::string read_hosts_inside(Containers& containers, const Container& container, Deadline deadline) {
  return run_inside(containers, container, {"cat", "/etc/hosts"}, "read", deadline).out;
}

AliasResult write_alias_inside(Containers& containers, const Container& container, std::string_view alias,
                               Ip address, std::string_view lease, Deadline deadline,
                               std::span<const std::string> beside, std::optional<Ip> bare) {
  return in_rounds(container, [&] {
    return try_to_write(containers, container, alias, address, lease, deadline, beside, bare);
  });
}

void remove_alias_inside(Containers& containers, const Container& container, std::string_view lease,
                         Deadline deadline, std::string_view alias, std::optional<Ip> bare) {
  try {
    in_rounds(container, [&]() -> Edited {
      const auto hosts = read_hosts_inside(containers, container, deadline);
      const auto wanted = without_alias(bare ? with_marks(hosts, alias, *bare, lease) : hosts, lease);
      if (!put_inside(containers, container, hosts, wanted, deadline)) return std::nullopt;
      return AliasResult::written;
    });
  } catch (const Error& error) {
    if (error.code() != Errc::not_found && error.code() != Errc::conflict) throw;
  }
}

}  // namespace hostnet::engine
