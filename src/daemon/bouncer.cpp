// The table of authorisation, and the question to polkit.
#include "daemon/bouncer.hpp"

#include "core/log.hpp"
#include "core/strings.hpp"
#include "firewall/ruleset.hpp"

#include <fmt/format.h>
#include <sdbus-c++/sdbus-c++.h>

#include <algorithm>
#include <chrono>
#include <tuple>

namespace hostnet::daemon {
namespace {

constexpr const char* kAuthority = "org.freedesktop.PolicyKit1.Authority";
constexpr std::uint32_t kAllowUserInteraction = 1;
// How long somebody may take over a password. polkit's own agents give up much sooner.
constexpr std::chrono::minutes kPatience{10};
constexpr std::uint16_t kFirstUnprivilegedPort = 1024;

bool is_privileged(const HostPort& port) {
  return port.host < kFirstUnprivilegedPort || port.container < kFirstUnprivilegedPort;
}

std::string cancellation_id(std::uint64_t question) { return fmt::format("hostnet-{}", question); }

}  // namespace

const char* id_of(Action action) noexcept {
  switch (action) {
    case Action::expose_own:
      return "io.github.tchostnet.hostnet1.expose-own";
    case Action::expose_foreign:
      return "io.github.tchostnet.hostnet1.expose-foreign";
    case Action::release_any:
      return "io.github.tchostnet.hostnet1.release-any";
  }
  return "io.github.tchostnet.hostnet1.expose-foreign";
}

bool covers(Action granted, Action needed) noexcept {
  return granted == needed || (granted == Action::expose_foreign && needed == Action::expose_own);
}

ListenerUids listeners_of(const std::vector<HostPort>& ports) {
  exposer::Listeners listeners;
  return listeners_of(ports, listeners);
}

ListenerUids listeners_of(const std::vector<HostPort>& ports, exposer::Listeners& listeners) {
  ListenerUids uids;
  for (const auto& port : ports) {
    auto& here = uids.emplace_back();
    for (const auto& listener : listeners.on(port.protocol, port.host))
      if (listener.serves(firewall::kLoopback)) here.push_back(listener.uid);
  }
  return uids;
}

bool are_served_still(const ListenerUids& then, const ListenerUids& now) {
  return std::ranges::equal(then, now, [](const auto& before, const auto& after) {
    return std::ranges::find_first_of(before, after) != before.end();
  });
}

std::optional<Action> decide(const Caller& caller, const Request& request, const ListenerUids& listeners) {
  if (caller.uid == 0) return std::nullopt;
  const bool own = std::ranges::all_of(listeners, [&](const auto& uids) {
    return !uids.empty() && std::ranges::all_of(uids, [&](uid_t uid) { return uid == caller.uid; });
  });
  const bool harmless = own && listeners.size() == request.ports.size() &&
                        std::ranges::none_of(request.ports, is_privileged) &&
                        request.lifetime != state::Lifetime::persistent;
  return harmless ? Action::expose_own : Action::expose_foreign;
}

std::optional<Action> decide_release(const Caller& caller, uid_t owner) {
  if (caller.uid == 0 || caller.uid == owner) return std::nullopt;
  return Action::release_any;
}

Details details_of(const Request& request, const std::string& interface) {
  std::vector<std::string> ports;
  for (const auto& port : request.ports) ports.push_back(port.to_string());
  return {{"interface", interface}, {"ports", list_of(ports)}, {"lifetime", to_string(request.lifetime)}};
}

Bouncer::Bouncer(sdbus::IConnection& connection)
    : polkit_(sdbus::createProxy(connection, "org.freedesktop.PolicyKit1",
                                 "/org/freedesktop/PolicyKit1/Authority")) {}

std::uint64_t Bouncer::ask(Action action, const Caller& caller, const Details& details, bool interactive,
                           Reply reply) {
  using Subject = sdbus::Struct<std::string, std::map<std::string, sdbus::Variant>>;
  using Verdict = sdbus::Struct<bool, bool, std::map<std::string, std::string>>;
  const auto question = ++last_;
  open_[question] = std::move(reply);
  const Subject subject{"system-bus-name", {{"name", sdbus::Variant(caller.name)}}};
  polkit_->callMethodAsync("CheckAuthorization")
      .onInterface(kAuthority)
      .withTimeout(kPatience)
      .withArguments(subject, std::string(id_of(action)), details, interactive ? kAllowUserInteraction : 0U,
                     cancellation_id(question))
      .uponReplyInvoke([this, question](const sdbus::Error* error, const Verdict& verdict) {
        const auto found = open_.find(question);
        if (found == open_.end()) return;  // cancelled
        const auto answer_to = std::move(found->second);
        open_.erase(found);
        if (error != nullptr) {
          log::error("polkit: {}", error->what());
          return answer_to(Answer::unavailable);
        }
        const bool authorised = verdict.get<0>();
        const bool challenge = verdict.get<1>();
        answer_to(authorised ? Answer::yes : challenge ? Answer::must_ask : Answer::no);
      });
  return question;
}

void Bouncer::cancel(std::uint64_t question) {
  if (open_.erase(question) == 0) return;
  polkit_->callMethodAsync("CancelCheckAuthorization")
      .onInterface(kAuthority)
      .withArguments(cancellation_id(question))
      .uponReplyInvoke([](const sdbus::Error* error) {
        if (error != nullptr) log::debug("polkit: cancel: {}", error->what());
      });
}

}  // namespace hostnet::daemon
