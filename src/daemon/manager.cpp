// Requests, and the leases that came of them.
#include "daemon/manager.hpp"

#include "core/file.hpp"
#include "core/log.hpp"
#include "core/strings.hpp"
#include "daemon/decision_log.hpp"
#include "daemon/message_flags.hpp"
#include "dbus/names.hpp"
#include "exposer/checks.hpp"
#include "exposer/native.hpp"
#include "exposer/resolve.hpp"
#include "hostnet/error.hpp"
#include "hostnet/version.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <ctime>
#include <utility>

namespace hostnet::daemon {
namespace {

using state::Lifetime;

constexpr std::chrono::seconds kHoldDeadline{10};

std::vector<std::string> texts_of(const std::vector<HostPort>& ports) {
  std::vector<std::string> texts;
  for (const auto& port : ports) texts.push_back(port.to_string());
  return texts;
}

sdbus::Error to_bus(const Error& error) {
  const auto text =
      error.hint().empty() ? std::string(error.what()) : fmt::format("{}; {}", error.what(), error.hint());
  return {dbus::error_name(error.code()), text};
}

const char* reason_of(exposer::Cause cause) {
  using exposer::Cause;
  switch (cause) {
    case Cause::owner_gone:
    case Cause::interrupted:
      return "owner-gone";
    case Cause::expired:
      return "expired";
    case Cause::bridge_gone:
      return "interface-gone";
    case Cause::container_stopped:
      return "container-gone";
    case Cause::revoked:
      return "revoked";
    case Cause::not_kept:
      return "failed";
  }
  return "failed";
}

Decision decision_on(const Caller& caller, const char* method, std::optional<Action> asked,
                     const std::string& interface, const std::vector<HostPort>& ports) {
  Decision decision{.caller = caller.name, .method = method, .interface = interface};
  // Without a name, the caller was not looked up before it was refused.
  if (!caller.name.empty()) decision.uid = caller.uid;
  decision.pid = caller.pid;
  if (!ports.empty()) decision.ports = list_of(texts_of(ports));
  if (asked) decision.action = id_of(*asked);
  return decision;
}

Decision granted(Decision decision, std::string reason) {
  decision.granted = true;
  decision.reason = std::move(reason);
  return decision;
}

Decision refused(Decision decision, std::string reason) {
  decision.reason = std::move(reason);
  return decision;
}

sdbus::Error refusal(Answer answer, Action action) {
  switch (answer) {
    case Answer::must_ask:
      return {dbus::kInteractionRequired,
              fmt::format(
                  "{} needs somebody to answer a prompt, and none may or can be shown; an administrator can "
                  "allow it by a rule in /etc/polkit-1/rules.d",
                  id_of(action))};
    case Answer::unavailable:
      return sdbus::Error(dbus::kAccessDenied, "polkit does not answer, and without it only root is served");
    default:
      return {dbus::kAccessDenied,
              fmt::format("{} was refused; an administrator can allow it by a rule in /etc/polkit-1/rules.d",
                          id_of(action))};
  }
}

}  // namespace

// One call of Expose() on its way.
struct Manager::Waiting {
  std::uint64_t number = 0;
  std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();
  ExposeCall result;
  Caller caller;
  Request request;
  Network network;
  std::optional<Action> asked;  ///< What polkit has to grant; nullopt: nothing.
  Quota::Share share;
  Quota::Share prompt;
  std::uint64_t question = 0;
  std::shared_ptr<void> name_watch;
};

Decision Manager::decision_on(const Waiting& waiting) {
  return daemon::decision_on(waiting.caller, "Expose", waiting.asked, waiting.network.interface,
                             waiting.request.ports);
}

Manager::Manager(sdbus::IConnection& connection, std::shared_ptr<exposer::Holder> holder,
                 const Config& config)
    : AdaptorInterfaces(connection, dbus::kManagerPath),
      connection_(connection),
      holder_(std::move(holder)),
      config_(config),
      bouncer_(connection),
      quota_(config.limits) {
  registerAdaptor();
  for (auto& [lease, exposure] : holder_->adopt(Deadline::after(kHoldDeadline))) {
    log::info("lease {} of uid {} is taken on again", lease.id, lease.owner.uid);
    Tenure tenure;
    tenure.interface = exposure.interface();
    tenure.exposure = std::move(exposure);
    tenure.share = quota_.take(lease.owner.uid, lease.ports.size(), true);
    tenure.lease = std::move(lease);
    add(std::move(tenure));
  }
}

Manager::~Manager() {
  waiting_.clear();
  leases_.clear();
  unregisterAdaptor();
}

Caller Manager::caller_of(const sdbus::Message& message) const {
  return {.name = message.getSender(), .uid = message.getCredsEuid(), .pid = message.getCredsPid()};
}

// Called back when the connection of that name has ended, while the result lives.
std::shared_ptr<void> Manager::watch_name(const std::string& name, std::function<void()> gone) {
  auto slot = connection_.addMatch(
      fmt::format("type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
                  "member='NameOwnerChanged',arg0='{}',arg2=''",
                  name),
      [gone = std::move(gone)](sdbus::Message&) { gone(); });
  return std::shared_ptr<void>(std::move(slot));
}

void Manager::Expose(ExposeCall&& result, std::int32_t ifindex, PortList ports, Options options) {
  const auto& message = *getObject().getCurrentlyProcessedMessage();
  auto waiting = std::make_shared<Waiting>();
  waiting->result = std::move(result);
  waiting->number = ++last_number_;
  waiting_.emplace(waiting->number, waiting);
  try_for(waiting, [&] {
    // The watch comes before the look at who it is, so that an end in between is not missed.
    waiting->name_watch = watch_name(message.getSender(), [this, number = waiting->number] { drop(number); });
    waiting->caller = caller_of(message);
    auto& request = waiting->request;
    request = read_request(ifindex, ports, options);
    request.interactive = request.interactive || allows_interaction(message);
    waiting->network = judge(look_at(rtnl_, request.ifindex), request, config_.allow_interface);
    find_port(rtnl_, request);
    waiting->share = quota_.take(waiting->caller.uid, request.ports.size());
    waiting->asked = decide(waiting->caller, request, listeners_of(request.ports));
    if (waiting->asked)
      ask(waiting);
    else
      hold(*waiting);
  });
}

void Manager::ask(const std::shared_ptr<Waiting>& waiting) {
  waiting->prompt = quota_.wait(waiting->caller.uid);
  const auto& request = waiting->request;
  waiting->question =
      bouncer_.ask(*waiting->asked, waiting->caller, details_of(request, waiting->network.interface),
                   request.interactive, [this, number = waiting->number](Answer answer) {
                     const auto found = waiting_.find(number);
                     if (found == waiting_.end()) return;
                     const auto asker = found->second;
                     try_for(asker, [&] {
                       if (answer != Answer::yes) throw refusal(answer, *asker->asked);
                       check_again(*asker);
                       hold(*asker);
                     });
                   });
}

// Does what may end a request, and ends it when that fails or when it was not left waiting for polkit.
void Manager::try_for(const std::shared_ptr<Waiting>& waiting, const std::function<void()>& action) {
  const auto asked_before = waiting->question;
  const auto fail = [&](const sdbus::Error& error) {
    record(refused(decision_on(*waiting), error.getMessage()));
    waiting->result.returnError(error);
  };
  try {
    action();
    if (waiting->question != asked_before) return;
  } catch (const Error& error) {
    fail(to_bus(error));
  } catch (const sdbus::Error& error) {
    fail(error);
  } catch (const std::exception& error) {
    fail(sdbus::Error(dbus::error_name(Errc::failure), error.what()));
  }
  waiting_.erase(waiting->number);
  gone_.push_back(waiting);
}

void Manager::check_again(const Waiting& waiting) {
  const auto& request = waiting.request;
  Network now;
  try {
    now = judge(look_at(rtnl_, request.ifindex), request, config_.allow_interface);
  } catch (const Error& error) {
    throw sdbus::Error(dbus::kNetworkChanged, error.what());
  }
  now.route_localnet = waiting.network.route_localnet;  // another lease may have set it meanwhile
  if (now != waiting.network)
    throw sdbus::Error(dbus::kNetworkChanged,
                       fmt::format("{} has changed while the request was being authorised", now.interface));
  const auto needed = decide(waiting.caller, request, listeners_of(request.ports));
  if (needed && !covers(*waiting.asked, *needed))
    throw Error(Errc::not_authorised,
                fmt::format("somebody else listens on a port now: that takes {}", id_of(*needed)));
}

// The caller has gone.
void Manager::drop(std::uint64_t number) {
  const auto found = waiting_.find(number);
  if (found == waiting_.end()) return;
  bouncer_.cancel(found->second->question);
  log::info("uid {} has gone before its request was answered", found->second->caller.uid);
  gone_.push_back(std::move(found->second));
  waiting_.erase(found);
}

void Manager::hold(Waiting& waiting) {
  const auto& [name, uid, pid] = waiting.caller;
  const auto& request = waiting.request;
  state::Lease lease;
  lease.target = fmt::format("bridge {}", waiting.network.interface);
  lease.label = request.label;
  lease.ifindex = waiting.network.ifindex;
  lease.gateways = waiting.network.gateways;
  lease.sources = request.sources;
  lease.mac = request.mac;
  auto port = find_port(rtnl_, request);
  lease.port = std::move(port.name);
  lease.unpinned = std::move(port.fault);
  lease.ports = request.ports;
  if (request.timeout) lease.expires = state::expiry_after(*request.timeout);

  exposer::check_way(lease, waiting.network.interface, request.require_listener);
  auto keepalive = state::make_keepalive(holder_->ledger().folder());
  lease.owner.token = keepalive.token;
  lease.owner.pid = pid;
  lease.owner.start = process_start_time(pid).value_or(0);
  lease.owner.uid = uid;
  lease.owner.command = trim(try_read_file(fmt::format("/proc/{}/comm", pid)).value_or(""));
  lease.owner.lifetime = request.lifetime;

  state::Bridge bridge;
  bridge.ifindex = waiting.network.ifindex;
  bridge.name = waiting.network.interface;
  bridge.prior_route_localnet = waiting.network.route_localnet;
  auto exposures = holder_->hold({lease}, {bridge}, Deadline::after(kHoldDeadline));

  if (!lease.sources.empty()) exposer::warn_if_unpinned(exposures.front().id(), exposures.front().unpinned());

  Tenure tenure;
  tenure.lease = std::move(lease);
  tenure.lease.id = exposures.front().id();
  tenure.lease.created = std::time(nullptr);
  tenure.interface = waiting.network.interface;
  tenure.owner = name;
  tenure.exposure = std::move(exposures.front());
  tenure.share = std::move(waiting.share);
  if (request.watch_listener) tenure.listeners = listeners_of(request.ports);
  const auto id = tenure.lease.id;
  if (request.lifetime == Lifetime::connection) {
    tenure.keepalive = std::move(keepalive.fd);
    tenure.name_watch = watch_name(name, [this, id] { remove(id, ExposureState::released, "owner-gone"); });
  }
  // What the caller gets where the descriptor has no meaning.
  if (request.lifetime != Lifetime::descriptor) keepalive.fd.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  record(granted(decision_on(waiting), fmt::format("lease {}", id)));
  const auto said = fmt::format("lease {}: uid {} (pid {}) exposes {} to {}", id, uid, pid,
                                list_of(texts_of(request.ports)), tenure.interface);
  add(std::move(tenure));
  waiting.result.returnResults(leases_.at(id)->path(), sdbus::UnixFd(keepalive.fd.get()));
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - waiting.since;
  log::info("{}, {:.1f} ms after it asked", said, took.count());
}

// Whoever asks for all objects asks for the counters of each, and the kernel gives them all at once. They are
// good for the message that is being answered.
const std::vector<firewall::DoorTraffic>& Manager::traffic() {
  if (!traffic_) traffic_ = firewall::read_traffic();
  return *traffic_;
}

void Manager::tidy() {
  gone_.clear();
  traffic_.reset();
}

void Manager::add(Tenure tenure) {
  auto id = tenure.lease.id;
  LeaseObject::Callbacks callbacks;
  callbacks.release = [this](const LeaseObject& lease, const sdbus::Message& message, ReleaseCall&& call) {
    release_asked(lease, message, std::move(call));
  };
  callbacks.counters = [this](const LeaseObject& lease) {
    return exposer::traffic_of(lease.tenure().lease, lease.tenure().interface, traffic());
  };
  leases_.emplace(std::move(id),
                  std::make_unique<LeaseObject>(connection_, std::move(tenure), std::move(callbacks)));
}

void Manager::release_asked(const LeaseObject& lease, const sdbus::Message& message, ReleaseCall&& call) {
  const auto result = std::make_shared<ReleaseCall>(std::move(call));
  const auto& tenure = lease.tenure();
  const auto decision = std::make_shared<Decision>(
      Decision{.caller = message.getSender(), .method = "Release", .interface = tenure.interface});
  const auto fail = [result, decision](const sdbus::Error& error) {
    record(refused(*decision, error.getMessage()));
    result->returnError(error);
  };
  try {
    const auto caller = caller_of(message);
    const auto owner = tenure.lease.owner.uid;
    const auto action = decide_release(caller, owner);
    *decision = daemon::decision_on(caller, "Release", action, tenure.interface, tenure.lease.ports);
    const auto release = [this, result, fail, decision, id = lease.id(), own = caller.uid == owner] {
      // The answer may come long after the lease has ended by itself.
      if (!leases_.contains(id))
        return fail(sdbus::Error(dbus::kLeaseNotFound, "the lease has ended by itself"));
      try {
        record(granted(*decision, fmt::format("lease {}", id)));
        remove(id, ExposureState::released, own ? "released" : "revoked");
        result->returnResults();
      } catch (const Error& error) {
        fail(to_bus(error));
      }
    };
    if (!action) return release();
    const auto prompt = std::make_shared<Quota::Share>(quota_.wait(caller.uid));
    const Details details{{"interface", tenure.interface}, {"owner", fmt::format("{}", owner)}};
    bouncer_.ask(*action, caller, details, allows_interaction(message),
                 [prompt, release, fail, action = *action](Answer answer) {
                   if (answer == Answer::yes) return release();
                   fail(refusal(answer, action));
                 });
  } catch (const Error& error) {
    fail(to_bus(error));
  }
}

// Ends a lease, if it has not ended yet, and tells everybody.
void Manager::remove(const std::string& id, ExposureState state, const std::string& reason) {
  const auto found = leases_.find(id);
  if (found == leases_.end()) return;
  found->second->tenure().exposure.release();
  log::info("lease {} ends: {}", id, reason);
  std::shared_ptr<LeaseObject> lease = std::move(found->second);
  leases_.erase(found);
  lease->announce(state);
  emitLeaseReleased(lease->path(), reason);
  gone_.push_back(std::move(lease));
}

void Manager::ended(const exposer::Ended& ended) {
  remove(ended.lease, ended.state(), reason_of(ended.cause));
}

void Manager::look_around() {
  std::vector<std::string> without;
  exposer::Listeners listeners;
  for (const auto& [id, lease] : leases_) {
    const auto& tenure = lease->tenure();
    if (tenure.listeners && !are_served_still(*tenure.listeners, listeners_of(tenure.lease.ports, listeners)))
      without.push_back(id);
  }
  for (const auto& id : without) remove(id, ExposureState::released, "listener-gone");
}

void Manager::stop() {
  std::vector<std::string> ids;
  for (const auto& [id, lease] : leases_)
    if (lease->tenure().lease.owner.lifetime != Lifetime::persistent) ids.push_back(id);
  for (const auto& id : ids) {
    try {
      remove(id, ExposureState::released, "daemon-stopping");
    } catch (const Error& error) {
      log::error("lease {}: {}", id, error.what());
    }
  }
  let_go();
}

void Manager::let_go() {
  for (const auto& [id, lease] : leases_)
    if (lease->tenure().lease.owner.lifetime != Lifetime::connection) holder_->let_go(id);
}

std::map<std::string, sdbus::Variant> Manager::Probe(const std::int32_t& ifindex) {
  std::map<std::string, sdbus::Variant> facts;
  std::vector<std::string> reasons = exposer::probe_native().reasons;
  try {
    Request request;
    request.ifindex = ifindex;
    const auto network = judge(look_at(rtnl_, ifindex), request, config_.allow_interface);
    facts["interface"] = sdbus::Variant(network.interface);
    facts["gateway"] = sdbus::Variant(network.gateways.front().to_string());
    facts["route-localnet"] = sdbus::Variant(network.route_localnet);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw to_bus(error);
    reasons.emplace_back(error.what());
  }
  facts["usable"] = sdbus::Variant(reasons.empty());
  facts["reasons"] = sdbus::Variant(reasons);
  return facts;
}

std::string Manager::Version() { return version(); }

}  // namespace hostnet::daemon
