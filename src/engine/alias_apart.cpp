// Finds and edits hosts files in child processes that can be abandoned. States and timeouts:
// engine/alias.hpp.
#include "core/apart.hpp"
#include "core/file.hpp"
#include "core/strings.hpp"
#include "engine/alias_parts.hpp"
#include "hostnet/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <numeric>
#include <thread>

namespace hostnet::engine {
namespace {

using namespace std::string_view_literals;
using std::chrono::milliseconds;

constexpr milliseconds kStall{500};     // one file's share while other files wait
constexpr milliseconds kRetryPause{5};  // between rounds, doubled each time
constexpr milliseconds kLongestRetryPause{100};

bool cgroup_names(pid_t pid, std::string_view container) {
  const auto cgroups = try_read_file(fmt::format("/proc/{}/cgroup", pid));
  return cgroups && !container.empty() && cgroups->find(container) != std::string::npos;
}

// Encodes the child's result as text: a blank and the answer, or the error's fields.
template <class Work>
std::string enclose(Work work) {
  try {
    return " " + work();
  } catch (const Error& error) {
    return fmt::format("{}\0{}\0{}\0{}"sv, static_cast<int>(error.code()), error.sys_errno(), error.what(),
                       error.hint());
  } catch (const std::exception& error) {
    return fmt::format("{}\0{}\0{}\0"sv, static_cast<int>(Errc::failure), 0, error.what());
  }
}

// Decodes enclose(): returns the answer, or sets `failure`.
std::string disclose(const std::string& text, std::optional<Error>& failure) {
  if (text.starts_with(' ')) return text.substr(1);
  const auto fields = split(text, '\0');
  const auto number = [&](std::size_t i) {
    return static_cast<int>(parse_number(fields.at(i), INT_MAX).value_or(0));
  };
  failure.emplace(static_cast<Errc>(number(0)), std::string(fields.at(2)), std::string(fields.at(3)),
                  number(1));
  return {};
}

Error not_in_time() { return {Errc::timed_out, "the container's hosts file could not be opened in time"}; }

template <class Work>
std::string answer_apart(Work work) {
  const auto answers = run_apart(
      1, [&](std::size_t) { return enclose(work); }, Deadline::after(kAliasBudget), kAliasBudget);
  if (!answers.front()) throw not_in_time();
  std::optional<Error> failure;
  auto answer = disclose(*answers.front(), failure);
  if (failure) throw *failure;
  return answer;
}

// What the two paths to the hosts file show.
struct Evidence {
  FileId file;        // the file at HostsPath if visible, else the container's
  bool both = false;  // both paths lead to the same file
};

Evidence look_at_file(const AliasRecord& record, Walk walk) {
  const auto on_host = hold_hosts_path(record, walk);
  std::optional<HeldFile> in_container;
  try {
    in_container = hold_hosts(record, walk);
  } catch (const Error& error) {
    if (error.code() != Errc::conflict || !on_host) throw;  // else the container replaced it
  }
  Evidence found;
  if (on_host)
    found.file = on_host->id;
  else if (in_container)
    found.file = in_container->id;
  found.both = on_host && in_container && on_host->same_as(*in_container);
  return found;
}

// Tries first without querying a file system, then in a child process within kAliasBudget.
Evidence look_in_time(const AliasRecord& record) {
  try {
    return look_at_file(record, Walk::cached);
  } catch (const Error& error) {
    if (error.sys_errno() != EAGAIN) throw;
  }
  const auto answer = answer_apart([&] {
    const auto found = look_at_file(record, Walk::any);
    return fmt::format("{} {} {}", found.file.device, found.file.inode, found.both ? 1 : 0);
  });
  const auto words = split(answer, ' ');
  return {{parse_number(words.at(0), UINT64_MAX).value(), parse_number(words.at(1), UINT64_MAX).value()},
          words.at(2) == "1"};
}

}  // namespace

std::optional<HeldFile> hold_hosts_path(const AliasRecord& record, Walk walk) {
  return record.hosts_path.empty() ? std::nullopt : hold_host_file(record.hosts_path, walk);
}

std::optional<HeldFile> hold_hosts(const AliasRecord& record, Walk walk) {
  return hold_container_hosts(record.pid, record.pid_start, walk);
}

Error mounted_by_user(std::string_view container) {
  return {Errc::conflict,
          fmt::format("the hosts file of container {} is a file that the user mounted", container),
          std::string(kByHand)};
}

AliasRecord alias_record(const Container& container) {
  if (!container.running)
    throw Error(Errc::conflict, fmt::format("container {} is not running", quote(container.name)),
                "start it first");
  if (container.hosts_mounted) throw mounted_by_user(container.name);
  AliasRecord record{container.id, container.pid, 0, container.hosts_path, {}, container.name};
  const auto elsewhere = [&](std::string_view why) {
    return Error(Errc::not_found,
                 fmt::format("container {} has no process on this machine: {}", quote(container.name), why),
                 "if the engine runs in a virtual machine, set the alias with --add-host when you create the "
                 "container");
  };
  const auto start = process_start_time(record.pid);
  if (!start) throw elsewhere(fmt::format("there is no process {}", record.pid));
  record.pid_start = *start;
  const bool is_named = cgroup_names(record.pid, record.container);
  Evidence found;
  try {
    found = look_in_time(record);
  } catch (const Error&) {
    if (!is_named) throw;  // else the process is the container's, and the edit itself reports the error
  }
  if (!is_named && !found.both) throw elsewhere(fmt::format("process {} is not the container's", record.pid));
  record.file = found.file;
  return record;
}

bool is_at_hosts_path(const AliasRecord& record) {
  if (!record.file.is_known()) return false;
  return answer_apart([&] {
           const auto on_host = hold_hosts_path(record, Walk::any);
           return std::string(on_host && on_host->id == record.file ? "1" : "0");
         }) == "1";
}

std::string read_hosts_outside(const AliasRecord& record) {
  return answer_apart([&] {
    const auto file = hold_hosts(record, Walk::any);
    if (!file)
      throw Error(Errc::not_found,
                  fmt::format("container {} has stopped or has no hosts file", called(record)));
    return read_all(open_held(*file, O_RDONLY).get(), kLargestHostsFile);
  });
}

std::vector<std::optional<Error>> edit_aliases(std::span<const AliasEdit> edits, std::string_view alias,
                                               Deadline deadline) {
  std::vector<std::optional<Error>> outcomes(edits.size());
  std::vector<std::size_t> open(edits.size());
  std::iota(open.begin(), open.end(), std::size_t{0});
  // A stalled file costs the others at most this much. After the first stall the limit is kAliasBudget.
  auto stall = kStall;
  for (auto pause = kRetryPause; !open.empty(); pause = std::min(pause * 2, kLongestRetryPause)) {
    const auto answers = run_apart(
        open.size(),
        [&](std::size_t i) {
          const auto& edit = edits[open[i]];
          return enclose([&] {
            const auto at_once = Deadline::after(std::chrono::milliseconds{0});
            if (edit.address)
              write_alias(edit.record, alias, *edit.address, edit.lease, edit.as_good, at_once, edit.beside,
                          edit.bare);
            else
              remove_alias(edit.record, edit.lease, at_once, alias, edit.bare);
            return std::string();
          });
        },
        deadline, stall);
    std::vector<std::size_t> left;
    bool stalled = false;
    for (std::size_t i = 0; i < open.size(); ++i) {
      auto& outcome = outcomes[open[i]];
      if (answers[i]) {
        outcome.reset();
        (void)disclose(*answers[i], outcome);
      } else {
        stalled = true;
        if (!outcome) outcome = not_in_time();
      }
      if (outcome && outcome->code() == Errc::timed_out) left.push_back(open[i]);
    }
    open = std::move(left);
    if (deadline.expired()) break;
    if (stalled) stall = kAliasBudget;
    std::this_thread::sleep_for(std::min(pause, deadline.remaining()));
  }
  return outcomes;
}

}  // namespace hostnet::engine
