// Finding and editing hosts files in a process that can be given up.
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

constexpr milliseconds kStall{500};  // for one file, as long as others wait
constexpr milliseconds kRetryPause{
    5};  // before those that were not to be had are tried again, then twice that
constexpr milliseconds kLongestRetryPause{100};

bool cgroup_names(pid_t pid, std::string_view container) {
  const auto cgroups = try_read_file(fmt::format("/proc/{}/cgroup", pid));
  return cgroups && !container.empty() && cgroups->find(container) != std::string::npos;
}

// The outcome of work done apart, as a text: an answer after a blank, or an error field by field.
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

// The answer; or nothing, and the error in `failure`.
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

Error not_in_time() { return {Errc::timed_out, "the container's hosts file could not be had in time"}; }

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

// What the two ways to the file say of it.
struct Evidence {
  FileId file;        // HostsPath if it can be seen, else what the container has
  bool both = false;  // and they are the same
};

Evidence look_at_file(const AliasRecord& record, Walk walk) {
  const auto on_host = hold_hosts_path(record, walk);
  std::optional<HeldFile> in_container;
  try {
    in_container = hold_hosts(record, walk);
  } catch (const Error& error) {
    if (error.code() != Errc::conflict || !on_host) throw;  // the container has made it something else
  }
  Evidence found;
  if (on_host)
    found.file = on_host->id;
  else if (in_container)
    found.file = in_container->id;
  found.both = on_host && in_container && on_host->same_as(*in_container);
  return found;
}

// Without asking a file system where that will do, else with the budget.
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

Error mounted_by_user(const std::string& id) {
  return {Errc::conflict,
          fmt::format("the hosts file of container {} is a file that its user mounted there", short_id(id)),
          std::string(kByHand)};
}

AliasRecord alias_record(const Container& container) {
  if (!container.running)
    throw Error(Errc::conflict, fmt::format("container {} does not run", quote(container.name)),
                "start it first");
  if (container.hosts_mounted) throw mounted_by_user(container.id);
  AliasRecord record{container.id, container.pid, 0, container.hosts_path, {}};
  const auto elsewhere = [&](std::string_view why) {
    return Error(Errc::not_found,
                 fmt::format("container {} has no process on this machine: {}", quote(container.name), why),
                 "where the engine runs in a virtual machine, give the alias with --add-host when the "
                 "container is made");
  };
  const auto start = process_start_time(record.pid);
  if (!start) throw elsewhere(fmt::format("there is no process {}", record.pid));
  record.pid_start = *start;
  const bool is_named = cgroup_names(record.pid, record.container);
  Evidence found;
  try {
    found = look_in_time(record);
  } catch (const Error&) {
    if (!is_named) throw;  // else that it cannot be edited is for those to say who want to
  }
  if (!is_named && !found.both) throw elsewhere(fmt::format("process {} is another one", record.pid));
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
                  fmt::format("container {} has stopped or has no hosts file", short_id(record.container)));
    return read_all(open_held(*file, O_RDONLY).get(), kLargestHostsFile);
  });
}

std::vector<std::optional<Error>> edit_aliases(std::span<const AliasEdit> edits, std::string_view alias,
                                               Deadline deadline) {
  std::vector<std::optional<Error>> outcomes(edits.size());
  std::vector<std::size_t> open(edits.size());
  std::iota(open.begin(), open.end(), std::size_t{0});
  // What stalls one child costs the others no more than this; in the last round it has all the time left.
  auto stall = kStall;
  for (auto pause = kRetryPause; !open.empty(); pause = std::min(pause * 2, kLongestRetryPause)) {
    const auto answers = run_apart(
        open.size(),
        [&](std::size_t i) {
          const auto& edit = edits[open[i]];
          return enclose([&] {
            const auto at_once = Deadline::after(std::chrono::milliseconds{0});
            if (edit.address)
              write_alias(edit.record, alias, *edit.address, edit.lease, edit.as_good, at_once);
            else
              remove_alias(edit.record, edit.lease, at_once);
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
