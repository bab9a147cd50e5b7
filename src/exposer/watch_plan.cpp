// Labels into wishes, wishes into steps.
#include "exposer/watch_plan.hpp"

#include "core/strings.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hostnet::exposer {
namespace {

const std::string* value_of(const std::map<std::string, std::string>& labels, const char* name) {
  const auto found = labels.find(name);
  return found == labels.end() ? nullptr : &found->second;
}

Path parse_via(const std::string& value) {
  for (const auto path : {Path::automatic, Path::native, Path::helper, Path::ssh})
    if (value == to_string(path)) return path;
  throw Error(Errc::invalid_argument, fmt::format("label {}: {} is no path", kViaLabel, quote(value)),
              "give auto, native, helper or ssh");
}

void read_labels(const std::string& ports, const engine::Container& container,
                 const std::map<std::string, std::string>& image_labels, bool trust_images, Wanted& wanted) {
  const auto* const brought = value_of(image_labels, kPortsLabel);
  if (!trust_images && brought != nullptr && *brought == ports)
    throw Error(Errc::not_authorised,
                fmt::format("label {}={} comes from its image, which may not open ports of this host",
                            kPortsLabel, quote(ports)),
                "label the container and not its image, or watch with --trust-images");
  if (const auto* const via = value_of(container.labels, kViaLabel)) wanted.via = parse_via(*via);
  wanted.ports = parse_ports_label(ports);
}

}  // namespace

std::vector<HostPort> parse_ports_label(std::string_view value) {
  try {
    std::vector<HostPort> ports;
    for (const auto part : split(value, ',')) ports.push_back(HostPort::parse(trim(part)));
    return normalise(std::move(ports));
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("label {}={}: {}", kPortsLabel, quote(value), error.what()),
                error.hint());
  }
}

std::optional<Wanted> wanted_by(const engine::Container& container,
                                const std::map<std::string, std::string>& image_labels, Path via,
                                bool trust_images) {
  const auto* const ports = value_of(container.labels, kPortsLabel);
  if (ports == nullptr || !container.running) return std::nullopt;
  Wanted wanted;
  wanted.id = container.id;
  wanted.name = container.name;
  wanted.run = container.pid;
  wanted.via = via;
  try {
    read_labels(*ports, container, image_labels, trust_images, wanted);
  } catch (const Error& error) {
    wanted.fault = error;
  }
  return wanted;
}

Step next_step(const Wanted* wanted, const Dealt* dealt, WatchClock::time_point now) {
  const bool held = dealt != nullptr && dealt->standing == Standing::held;
  if (wanted == nullptr) return {.release = held, .forget = dealt != nullptr};
  const bool same_run = dealt != nullptr && dealt->run == wanted->run;
  const bool due = same_run && dealt->standing == Standing::waiting && dealt->again <= now;
  if (same_run && !due) return {};
  return {.release = held, .expose = !wanted->fault, .refuse = wanted->fault.has_value()};
}

std::chrono::milliseconds backoff(unsigned failures, std::chrono::milliseconds first,
                                  std::chrono::milliseconds longest) {
  auto span = first;
  for (unsigned i = 1; i < failures && span < longest; ++i) span *= 2;
  return std::min(span, longest);
}

}  // namespace hostnet::exposer
