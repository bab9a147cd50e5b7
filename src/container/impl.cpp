// Stops, removes and exposes: the life of a container after start().
//
//   state    means                                          tear_down() then does
//   new      id is empty: not created yet                   ends exposures, drops the network
//   created  the engine has it, running or not              stops, removes, ends exposures, drops the network
//   stopped  stop() succeeded; exposures have ended         the same; repeated steps do nothing
//   kept     `keep`: a reused container                     nothing
//   removed  tear_down() has begun, by any thread           nothing
//   forked   this process is a fork of the maker's          not called: Container leaves it to the parent
//
// tear_down() runs every step, even after a failed one, and reports all failures together. stop() keeps the
// exposures if it fails, because the container may still run.
//
//   limit                      value                 of
//   kCall                      30 s                  one engine call that stops or removes, beyond the grace
//   grace                      caller's; ~Impl 10 s  SIGTERM to SIGKILL; 0 if pid 1 does not catch SIGTERM
//   kLongestGrace              365 days              cap of the grace in the deadline, against overflow
//   kWords                     2 s                   last output; wait for the program to replace runc
//
// Locks: mutex_ guards later_, removed_ and the exposure of `lease`. expose() and end_exposures() hold it
// while a lease starts or ends. No lock is held during an engine call that stops or removes.
#include "container/impl.hpp"

#include "core/file.hpp"
#include "core/log.hpp"
#include "core/strings.hpp"
#include "engine/parse.hpp"
#include "hostnet/error.hpp"
#include "lease/exposure_impl.hpp"
#include "path/select.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <optional>
#include <thread>

namespace hostnet {
namespace {

using std::chrono::seconds;

constexpr seconds kCall{30};
constexpr seconds kLongestGrace{365 * 24 * 3600};
constexpr seconds kWords{2};
constexpr int kLastLines = 5;

// /proc/PID/status of a container's first process. Just after start this is still runc, which catches all
// signals: waits up to kWords for the container's program to replace it.
std::optional<std::string> status_of_first(pid_t pid) {
  const auto patience = Deadline::after(kWords);
  for (;;) {
    auto status = try_read_file(fmt::format("/proc/{}/status", pid));
    if (!status || !status->starts_with("Name:\trunc:[") || patience.expired()) return status;
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
}

// Whether a container's first process catches SIGTERM; true if unknown.
bool minds_sigterm(pid_t pid) {
  const auto status = status_of_first(pid);
  constexpr std::string_view field = "SigCgt:";
  const auto at = status ? status->find(field) : std::string::npos;
  if (at == std::string::npos) return true;
  const auto digits = trim(std::string_view(*status).substr(at + field.size(), 20));
  std::uint64_t caught = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), caught, 16).ec != std::errc{})
    return true;
  return (caught >> (SIGTERM - 1) & 1) != 0;
}

// The first process of a pid namespace does not get signals that it does not catch. A grace for such a
// process only delays SIGKILL, so this returns 0.
seconds useful_grace(engine::Client& client, const engine::Container& container, seconds wanted,
                     Deadline deadline) {
  // The pid of a remote engine may belong to another process here.
  if (client.why_remote(deadline)) return wanted;
  const bool by_sigterm =
      container.stop_signal.empty() || container.stop_signal == "SIGTERM" || container.stop_signal == "15";
  return by_sigterm && !minds_sigterm(container.pid) ? seconds{0} : wanted;
}

// Returns false if the container is gone.
bool stop_container(const engine::Address& engine, const std::string& id, seconds grace) {
  engine::Client client(engine);
  engine::Containers containers(client);
  try {
    const auto now = client.container(id, Deadline::after(kCall));
    if (!now.running) return true;
    const auto limit = useful_grace(client, now, grace, Deadline::after(kCall));
    containers.stop(id, limit, Deadline::after(std::min(limit, kLongestGrace) + kCall));
    return true;
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    return false;
  }
}

}  // namespace

Container::Impl::~Impl() {
  try {
    tear_down(seconds{10});
  } catch (const std::exception& error) {
    log::error("{}", error.what());
  }
}

std::string Container::Impl::last_words() const noexcept {
  try {
    if (id.empty()) return {};
    engine::Client client(engine);
    const auto output = engine::Containers(client).last_output(id, kLastLines, Deadline::after(kWords));
    std::string words;
    for (const auto line : split(output, '\n'))
      if (const auto text = engine::one_line(line, 200); !text.empty())
        words += fmt::format("{}{}", words.empty() ? "" : " | ", text);
    return words;
  } catch (const std::exception&) {
    return {};
  }
}

void Container::Impl::end_exposures(Failures& failures) {
  const std::scoped_lock lock(mutex_);
  // Latest first: a later exposure may extend an earlier one.
  for (auto exposure = later_.rbegin(); exposure != later_.rend(); ++exposure)
    failures.run([&] { exposure->release(); });
  later_.clear();
  if (lease) failures.run([&] { lease->exposure.release(); });
}

void Container::Impl::stop(std::chrono::seconds grace) {
  Failures failures;
  failures.run([&] { stop_container(engine, id, grace); });
  // A container that did not stop keeps its exposures; the caller gets the error.
  if (failures.empty()) end_exposures(failures);
  failures.raise("container " + name);
}

void Container::Impl::tear_down(std::chrono::seconds grace) {
  {
    const std::scoped_lock lock(mutex_);
    if (removed_) return;
    removed_ = true;
  }
  if (keep) return;
  Failures failures;
  if (!id.empty()) {
    failures.run([&] { stop_container(engine, id, grace); });
    failures.run([&] {
      engine::Client client(engine);
      engine::Containers(client).remove(id, Deadline::after(kCall));
    });
  }
  end_exposures(failures);
  network.reset();
  failures.raise("container " + name);
}

void Container::Impl::expose(const HostPort& port) {
  const std::scoped_lock lock(mutex_);
  auto all = lease ? lease->exposure.ports() : std::vector<HostPort>{};
  for (const auto& exposure : later_) {
    const auto ports = exposure.ports();
    all.insert(all.end(), ports.begin(), ports.end());
  }
  all.push_back(port);
  normalise(std::move(all));  // throws for a port that clashes with the others
  if (auto more = extend(port)) return later_.push_back(std::move(*more));
  auto options = exposer;
  const auto wanted = lease ? exposer::PathOrder{path} : exposer::order_of(options);
  later_.push_back(
      exposer::make_exposer_by(exposer::paths(), wanted, options)->expose(Target::container(id), {port}));
}

// Extends a lease of the container, on a path where a second lease could not get the alias. nullopt: make a
// new lease.
std::optional<Exposure> Container::Impl::extend(const HostPort& port) {
  const auto by = [&](const Exposure& exposure) -> std::optional<Exposure> {
    auto* const impl = BehindExposure::of(exposure);
    auto more = impl != nullptr && impl->state() == ExposureState::active ? impl->extend(port) : nullptr;
    return more ? std::optional<Exposure>(std::move(more)) : std::nullopt;
  };
  if (lease)
    if (auto more = by(lease->exposure)) return more;
  for (const auto& exposure : later_)
    if (auto more = by(exposure)) return more;
  return std::nullopt;
}

std::vector<HostPort> Container::Impl::host_ports() const {
  const std::scoped_lock lock(mutex_);
  auto all = lease ? lease->exposure.ports() : std::vector<HostPort>{};
  for (const auto& exposure : later_) {
    const auto ports = exposure.ports();
    all.insert(all.end(), ports.begin(), ports.end());
  }
  return normalise(std::move(all));
}

Path Container::Impl::via() const {
  const std::scoped_lock lock(mutex_);
  if (lease) return lease->exposure.path();
  return later_.empty() ? Path::automatic : later_.front().path();
}

}  // namespace hostnet
