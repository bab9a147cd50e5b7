// The end of a container.
#include "container/impl.hpp"

#include "core/attempt.hpp"
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

constexpr seconds kCall{30};  // for one call that stops or removes, beyond the grace
constexpr seconds kLongestGrace{365 * 24 * 3600};
constexpr seconds kWords{2};
constexpr int kLastLines = 5;

// /proc/PID/status of a container's first process. Just after its start that is still runc, which catches all
// signals, and not the container's program.
std::optional<std::string> status_of_first(pid_t pid) {
  const auto patience = Deadline::after(kWords);
  for (;;) {
    auto status = try_read_file(fmt::format("/proc/{}/status", pid));
    if (!status || !status->starts_with("Name:\trunc:[") || patience.expired()) return status;
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
}

// Whether a container's first process catches SIGTERM; true where that cannot be told.
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

// The first process of a pid namespace does not get signals that it does not catch. To wait for the end of
// one that would not hear is time lost.
seconds useful_grace(engine::Client& client, const engine::Container& container, seconds wanted,
                     Deadline deadline) {
  // Its pid may be that of another process.
  if (client.why_remote(deadline)) return wanted;
  const bool by_sigterm =
      container.stop_signal.empty() || container.stop_signal == "SIGTERM" || container.stop_signal == "15";
  return by_sigterm && !minds_sigterm(container.pid) ? seconds{0} : wanted;
}

void report(const std::string& name, const std::vector<std::string>& failures) {
  if (!failures.empty())
    throw Error(Errc::failure, fmt::format("container {}: {}", name, fmt::join(failures, "; ")));
}

// Returns false when it is gone.
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

void Container::Impl::end_exposures(std::vector<std::string>& failures) {
  const std::scoped_lock lock(mutex_);
  // The latest first, for it may stand on an earlier one.
  for (auto exposure = later_.rbegin(); exposure != later_.rend(); ++exposure)
    attempt(failures, [&] { exposure->release(); });
  later_.clear();
  if (lease) attempt(failures, [&] { lease->exposure.release(); });
}

void Container::Impl::stop(std::chrono::seconds grace) {
  std::vector<std::string> failures;
  attempt(failures, [&] { stop_container(engine, id, grace); });
  // It may still be running, and there is somebody to see to that.
  if (failures.empty()) end_exposures(failures);
  report(name, failures);
}

void Container::Impl::tear_down(std::chrono::seconds grace) {
  {
    const std::scoped_lock lock(mutex_);
    if (removed_) return;
    removed_ = true;
  }
  if (keep) return;
  std::vector<std::string> failures;
  if (!id.empty()) {
    attempt(failures, [&] { stop_container(engine, id, grace); });
    attempt(failures, [&] {
      engine::Client client(engine);
      engine::Containers(client).remove(id, Deadline::after(kCall));
    });
  }
  end_exposures(failures);
  network.reset();
  report(name, failures);
}

void Container::Impl::expose(const HostPort& port) {
  const std::scoped_lock lock(mutex_);
  auto all = lease ? lease->exposure.ports() : std::vector<HostPort>{};
  for (const auto& exposure : later_) {
    const auto ports = exposure.ports();
    all.insert(all.end(), ports.begin(), ports.end());
  }
  all.push_back(port);
  normalise(std::move(all));  // for what it refuses
  if (auto more = extend(port)) return later_.push_back(std::move(*more));
  auto options = exposer;
  const auto* const wanted = lease ? path : exposer::driver_of(options.path);
  later_.push_back(
      exposer::make_exposer_by(exposer::paths(), wanted, options)->expose(Target::container(id), {port}));
}

// By a lease of the container that can be extended, where a second one could not have the alias.
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
