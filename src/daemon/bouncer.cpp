// The authorisation table and the polkit question.
#include "daemon/bouncer.hpp"

#include "core/log.hpp"
#include "core/loopback.hpp"
#include "core/printable.hpp"
#include "core/strings.hpp"
#include "daemon/guard.hpp"
#include "dbus/names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>
#include <tuple>

namespace hostnet::daemon {
namespace {

constexpr const char* kAuthority = "org.freedesktop.PolicyKit1.Authority";
constexpr std::uint32_t kAllowUserInteraction = 1;
// Time to type a password. polkit's own agents give up much sooner.
constexpr std::chrono::minutes kPatience{10};
constexpr std::uint16_t kFirstUnprivilegedPort = 1024;

bool is_privileged(const HostPort& port) {
  return port.host < kFirstUnprivilegedPort || port.container < kFirstUnprivilegedPort;
}

Ruling by(std::optional<Action> needed) {
  return needed ? Ruling{Ruling::Verdict::ask, needed} : Ruling{Ruling::Verdict::allow};
}

Ruling about_expose(const Caller& caller, const Facts& facts) {
  if (facts.request == nullptr || facts.listeners == nullptr) return {};
  auto ruling = by(decide(caller, *facts.request, *facts.listeners));
  if (ruling.action == Action::expose_foreign)
    ruling.why = why_foreign(caller, *facts.request, *facts.listeners);
  return ruling;
}

Ruling about_release(const Caller& caller, const Facts& facts) {
  if (!facts.lease_owner) return {};
  return by(decide_release(caller, *facts.lease_owner));
}

Ruling about_what_is_open(const Caller&, const Facts&) { return {Ruling::Verdict::allow}; }

// All callable methods. sd-bus serves properties and GetManagedObjects: read-only, for all users.
struct Row {
  std::string_view interface;
  std::string_view member;
  Ruling (*decision)(const Caller&, const Facts&);
};
constexpr std::array kMethods{
    Row{dbus::kManagerInterface, "Expose", about_expose},
    Row{dbus::kManagerInterface, "Probe", about_what_is_open},
    Row{dbus::kLeaseInterface, "Release", about_release},
};

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
    const auto address = ipv4_of(port);
    for (const auto& listener : listeners.on(port.protocol, port.host))
      if (address && listener.serves(*address)) here.push_back(listener.uid);
  }
  return uids;
}

bool are_served_still(const ListenerUids& then, const ListenerUids& now) {
  return std::ranges::equal(then, now, [](const auto& before, const auto& after) {
    return std::ranges::find_first_of(before, after) != before.end();
  });
}

bool another_listens(const ListenerUids& now, uid_t owner) {
  return std::ranges::any_of(now, [&](const auto& uids) {
    return std::ranges::any_of(uids, [&](uid_t uid) { return uid != owner; });
  });
}

Ruling authorise(const Method& method, const Caller& caller, const Facts& facts,
                 std::optional<Action> granted) {
  const auto* const row = std::ranges::find_if(kMethods, [&](const Row& one) {
    return one.interface == method.interface && one.member == method.member;
  });
  if (row == kMethods.end()) return {};
  auto decision = row->decision(caller, facts);
  if (decision.verdict == Ruling::Verdict::ask && granted)
    decision.verdict = covers(*granted, *decision.action) ? Ruling::Verdict::allow : Ruling::Verdict::deny;
  return decision;
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

std::string why_foreign(const Caller& caller, const Request& request, const ListenerUids& listeners) {
  for (std::size_t i = 0; i < request.ports.size(); ++i) {
    const auto& port = request.ports[i];
    if (is_privileged(port))
      return fmt::format("{} has a port below {}", port.to_string(), kFirstUnprivilegedPort);
    const auto where = port.service() + (port.protocol == Protocol::udp ? "/udp" : "");
    if (i >= listeners.size() || listeners[i].empty()) return fmt::format("no process listens on {}", where);
    const auto other = std::ranges::find_if(listeners[i], [&](uid_t uid) { return uid != caller.uid; });
    if (other != listeners[i].end())
      return fmt::format("uid {} listens on {}, and the caller is uid {}", *other, where, caller.uid);
  }
  return "the lease is to outlive its caller";
}

std::optional<Action> decide_release(const Caller& caller, uid_t owner) {
  if (caller.uid == 0 || caller.uid == owner) return std::nullopt;
  return Action::release_any;
}

Details details_of(const Request& request, const std::string& interface) {
  std::vector<std::string> ports;
  for (const auto& port : request.ports) ports.push_back(port.to_string());
  return {{"interface", printable(interface)},
          {"ports", list_of(ports)},
          {"lifetime", to_string(request.lifetime)}};
}

Bouncer::Bouncer(sdbus::IConnection& connection)
    : polkit_(make_proxy(connection, "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority")) {
}

// Read the replies by hand: a reply of the wrong form is then an error inside the guard.
std::uint64_t Bouncer::ask(Action action, const Caller& caller, const Details& details, bool interactive,
                           Reply reply) {
  using Subject = sdbus::Struct<std::string, std::map<std::string, sdbus::Variant>>;
  const auto question = ++last_;
  auto message = polkit_->createMethodCall(InterfaceName(kAuthority), MemberName("CheckAuthorization"));
  message << Subject{"system-bus-name", {{"name", sdbus::Variant(caller.name)}}} << std::string(id_of(action))
          << details << (interactive ? kAllowUserInteraction : 0U) << cancellation_id(question);
  open_[question] = std::move(reply);
  try {
    call_async(
        *polkit_, message,
        [this, question](sdbus::MethodReply& answer, const sdbus::Error* error) {
          guarded("polkit's answer", [&] { answered(question, answer, error); });
        },
        kPatience);
  } catch (...) {
    open_.erase(question);
    throw;
  }
  return question;
}

void Bouncer::answered(std::uint64_t question, sdbus::MethodReply& reply, const sdbus::Error* error) {
  using Verdict = sdbus::Struct<bool, bool, std::map<std::string, std::string>>;
  const auto found = open_.find(question);
  if (found == open_.end()) return;  // cancelled
  const auto answer_to = std::move(found->second);
  open_.erase(found);
  auto answer = Answer::unavailable;
  if (error != nullptr) {
    log::error("polkit: {}", error->what());
  } else {
    guarded("polkit's answer", [&] {
      Verdict verdict;
      reply >> verdict;
      answer = verdict.get<0>() ? Answer::yes : verdict.get<1>() ? Answer::must_ask : Answer::no;
    });
  }
  answer_to(answer);
}

void Bouncer::cancel(std::uint64_t question) {
  if (open_.erase(question) == 0) return;
  auto message = polkit_->createMethodCall(InterfaceName(kAuthority), MemberName("CancelCheckAuthorization"));
  message << cancellation_id(question);
  call_async(*polkit_, message, [](sdbus::MethodReply&, const sdbus::Error* error) {
    guarded("polkit's answer", [&] {
      if (error != nullptr) log::debug("polkit: cancel: {}", error->what());
    });
  });
}

}  // namespace hostnet::daemon
