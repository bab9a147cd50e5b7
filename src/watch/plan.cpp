// Turns labels into requested ports, and requested ports into the next step.
#include "watch/plan.hpp"

#include "core/nearest.hpp"
#include "core/strings.hpp"
#include "path/sidecar/labels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace hostnet::exposer {
namespace {

const std::string* value_of(const std::map<std::string, std::string>& labels, const char* name) {
  const auto found = labels.find(name);
  return found == labels.end() ? nullptr : &found->second;
}

PathOrder parse_via(const std::string& value) {
  try {
    return parse_order(value);
  } catch (const Error& error) {
    throw error.in_context(fmt::format("label {}", kViaLabel));
  }
}

// A label of the container itself. @throws Error{not_authorised} for a label from the image, unless images
// are trusted.
const std::string* own_label(const engine::Container& container,
                             const std::map<std::string, std::string>& image_labels, const char* name,
                             bool trust_images) {
  const auto* const value = value_of(container.labels, name);
  const auto* const brought = value_of(image_labels, name);
  if (!trust_images && value != nullptr && brought != nullptr && *brought == *value)
    throw Error(Errc::not_authorised,
                fmt::format("label {}={} comes from its image, which may not open ports of this host", name,
                            quote(*value)),
                "label the container and not its image, or watch with --trust-images");
  return value;
}

std::string some_of(const std::vector<HostPort>& ports) {
  constexpr std::size_t shown = 4;
  std::vector<std::string> texts;
  for (const auto& port : ports) {
    if (texts.size() == shown) {
      texts.push_back(fmt::format("{} more", ports.size() - shown));
      break;
    }
    texts.push_back(port.to_string());
  }
  return list_of(texts);
}

void refuse(Wanted& wanted, std::vector<HostPort> ports, const std::string& why, const char* hint) {
  wanted.fault = Error(Errc::not_authorised,
                       fmt::format("label {} asks for {}, {}", kPortsLabel, some_of(ports), why), hint);
  wanted.ports.clear();
  wanted.refused = std::move(ports);
}

}  // namespace

std::vector<HostPort> parse_ports_label(std::string_view value) {
  constexpr std::size_t longest = 4096;
  constexpr std::size_t most = 256;
  const auto too_long = [&] {
    throw Error(Errc::invalid_argument,
                fmt::format("a label has at most {} bytes and {} ports", longest, most),
                "ask for fewer ports");
  };
  try {
    const auto parts = split(value.substr(0, longest), ',');
    if (value.size() > longest || parts.size() > most) too_long();
    std::vector<HostPort> ports;
    for (const auto part : parts) {
      auto some = HostPort::parse_range(trim(part));
      std::ranges::move(some, std::back_inserter(ports));
      if (ports.size() > most) too_long();
    }
    return normalise(std::move(ports));
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("label {}={}: {}", kPortsLabel, quote(value), error.what()),
                error.hint());
  }
}

std::optional<NearLabel> near_label(const std::map<std::string, std::string>& labels) {
  constexpr std::size_t slip = 3;  // edits: more is another label
  for (const char* const own : {kCreationLabel, kLeaseLabel, kAliasLabel, kOwnerLabel})
    if (labels.contains(own)) return std::nullopt;
  for (const auto& [name, value] : labels) {
    if (name == kPortsLabel || name == kViaLabel) continue;
    auto low = std::string(beginning(std::string_view(name), 256));
    std::ranges::transform(
        low, low.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    const auto to_ports = edit_distance(low, kPortsLabel);
    const auto to_via = edit_distance(low, kViaLabel);
    if (low.find("hostnet") != std::string::npos || std::min(to_ports, to_via) <= slip)
      return NearLabel{name, to_via < to_ports ? kViaLabel : kPortsLabel};
  }
  return std::nullopt;
}

std::optional<Wanted> wanted_by(const engine::Container& container,
                                const std::map<std::string, std::string>& image_labels,
                                const WatchRules& rules) {
  if (value_of(container.labels, kPortsLabel) == nullptr || !container.running) return std::nullopt;
  Wanted wanted;
  wanted.id = container.id;
  wanted.name = container.name;
  wanted.run = container.pid;
  wanted.via = rules.via;
  try {
    const auto* const ports = own_label(container, image_labels, kPortsLabel, rules.trust_images);
    if (const auto* const via = own_label(container, image_labels, kViaLabel, rules.trust_images))
      wanted.via = parse_via(*via);
    wanted.ports = parse_ports_label(*ports);
    if (auto refused = rules.allowance.refused(wanted.ports); !refused.empty())
      refuse(wanted, std::move(refused), "which watch does not allow",
             "allow it for all containers of this engine: watch --allow PORTS, or --allow-socket PATH");
  } catch (const Error& error) {
    wanted.fault = error;
  }
  return wanted;
}

Wanted with_links_refused(Wanted wanted) {
  for (const auto& port : wanted.ports) {
    if (port.socket.empty()) continue;
    const auto link = link_in(port.socket);
    if (!link) continue;
    refuse(wanted, {port}, fmt::format("and {} is a link or not readable", quote(*link)),
           "allow and label the path without links");
    return wanted;
  }
  return wanted;
}

WatchStep next_step(const Wanted* wanted, const Dealt* dealt, WatchClock::time_point now) {
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
