// The Manager's methods.
#include "daemon/manager.hpp"

#include "core/log.hpp"
#include "core/strings.hpp"
#include "daemon/bus_error.hpp"
#include "daemon/guard.hpp"
#include "dbus/names.hpp"
#include "hostnet/error.hpp"
#include "hostnet/version.hpp"
#include "path/native/native.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <chrono>
#include <utility>

namespace hostnet::daemon {
namespace {

using state::Lifetime;

constexpr std::chrono::seconds kAdoptDeadline{10};

std::vector<std::string> texts_of(const std::vector<HostPort>& ports) {
  std::vector<std::string> texts;
  for (const auto& port : ports) texts.push_back(port.to_string());
  return texts;
}

sdbus::Error stops() { return named_error(dbus::error_name(Errc::failure), "the helper is stopping"); }

// Plain data: a Variant is an sd-bus message, and only the bus thread may make one.
struct Probed {
  std::optional<Network> network;
  std::vector<std::string> reasons;
};

Probed probe(std::int32_t ifindex, const std::vector<std::string>& allowed) {
  Probed probed{.network = {}, .reasons = exposer::probe_native().reasons};
  try {
    Request request;
    request.ifindex = ifindex;
    netlink::Rtnl rtnl;
    probed.network = judge(look_at(rtnl, ifindex), request, allowed);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    probed.reasons.emplace_back(error.what());
  }
  return probed;
}

std::map<std::string, sdbus::Variant> facts_of(const Probed& probed) {
  std::map<std::string, sdbus::Variant> facts;
  if (const auto& network = probed.network) {
    facts["interface"] = sdbus::Variant(network->interface);
    facts["gateway"] = sdbus::Variant(network->gateways.front().to_string());
    facts["route-localnet"] = sdbus::Variant(network->route_localnet);
  }
  facts["usable"] = sdbus::Variant(probed.reasons.empty());
  facts["reasons"] = sdbus::Variant(probed.reasons);
  return facts;
}

}  // namespace

// One Expose() call in progress.
struct Manager::Exposing {
  std::shared_ptr<Call> call;
  ExposeResult result;
  Request request;
  Network network;
  Quota::Share share;
};

Manager::Manager(sdbus::IConnection& connection, const Works& works, const Config& config)
    : AdaptorInterfaces(connection, sdbus::ObjectPath(dbus::kManagerPath)),
      works_(works),
      config_(config),
      bouncer_(connection),
      quota_(config.limits),
      calls_(bouncer_, quota_),
      leases_(connection, works,
              {.release =
                   [this](const LeaseObject& lease, const sdbus::Message& message,
                          LeaseObject::ReleaseCall&& result) { release(lease, message, std::move(result)); },
               .released = [this](const sdbus::ObjectPath& lease,
                                  const std::string& reason) { emitLeaseReleased(lease, reason); }}),
      callers_(connection, [this](const std::string& name) {
        calls_.leave(name);
        leases_.owner_left(name);
      }) {
  registerAdaptor();
}

Manager::~Manager() { unregisterAdaptor(); }

// First drains the results of an earlier connection's requests: when the result of the empty job has passed
// the Inbox, so have theirs.
void Manager::adopt() {
  works_.changes->run(
      alive_, [] {},
      [this](Outcome<void>&) {
        works_.changes->run(
            alive_, [holder = works_.holder] { return holder->adopt(Deadline::after(kAdoptDeadline)); },
            [this](Outcome<exposer::Holder::Adopted>& adopted) {
              try {
                take_on(std::move(adopted.get()));
                ready_ = true;
              } catch (...) {
                adoption_failed_ = std::current_exception();
              }
            });
      });
}

bool Manager::is_ready() const {
  if (adoption_failed_) std::rethrow_exception(adoption_failed_);
  return ready_;
}

void Manager::take_on(exposer::Holder::Adopted adopted) {
  for (auto& [lease, exposure] : adopted) {
    log::info("adopted lease {} of uid {}", lease.id, lease.owner.uid);
    HeldLease held_lease;
    held_lease.interface = exposure.interface();
    held_lease.exposure = keep(std::move(exposure), works_.changes);
    held_lease.share = quota_.take(lease.owner.uid, lease.ports.size(), true);
    held_lease.lease = std::move(lease);
    leases_.add(std::move(held_lease));
  }
}

void Manager::open(const sdbus::Message& message, std::function<void(const sdbus::Error&)> fail,
                   const std::function<void(const std::shared_ptr<Call>&)>& first) {
  if (stopping_) throw stops();
  calls_.open(message, std::move(fail), first);
}

void Manager::Expose(ExposeResult&& result, std::int32_t ifindex, PortList ports, Options options) {
  answered("Expose", [&] {
    const auto exposing = std::make_shared<Exposing>();
    exposing->result = std::move(result);
    const auto fail = [exposing](const sdbus::Error& error) { exposing->result.returnError(error); };
    open(current_message(getObject()), fail, [&](const std::shared_ptr<Call>& call) {
      exposing->call = call;
      exposing->request = read_request(ifindex, ports, options);
      call->ports = list_of(texts_of(exposing->request.ports));
      call->may_ask = call->may_ask || exposing->request.interactive;
      exposing->share = quota_.take(call->caller.uid, exposing->request.ports.size());
      look_for(exposing);
    });
  });
}

void Manager::look_for(const std::shared_ptr<Exposing>& exposing) {
  works_.looks->run(
      alive_,
      [request = exposing->request, allowed = config_.allow_interface] { return look(request, allowed); },
      [this, exposing](Outcome<Sight>& outcome) {
        calls_.resume(exposing->call, [&] {
          const auto& sight = outcome.get();
          exposing->network = sight.network;
          exposing->call->interface = sight.network.interface;
          calls_.authorise(exposing->call, {.request = &exposing->request, .listeners = &sight.listeners},
                           details_of(exposing->request, sight.network.interface),
                           [this, exposing] { hold_for(exposing); });
        });
      });
}

void Manager::hold_for(const std::shared_ptr<Exposing>& exposing) {
  const auto& call = *exposing->call;
  Grant grant{.method = call.method,
              .caller = call.caller,
              .request = exposing->request,
              .network = exposing->network,
              .granted = call.granted,
              .left = call.left};
  leases_.expect(true);
  works_.changes->run(
      alive_,
      [grant = std::move(grant), holder = works_.holder, allowed = config_.allow_interface,
       changes = works_.changes] { return hold(grant, *holder, allowed, changes); },
      [this, exposing](Outcome<Held>& outcome) {
        calls_.resume(exposing->call, [&] { this->grant(*exposing, std::move(outcome.get())); });
        leases_.expect(false);
      });
}

void Manager::grant(Exposing& exposing, Held held) {
  const auto& request = exposing.request;
  const auto& [name, uid, pid] = exposing.call->caller;
  HeldLease held_lease;
  held_lease.exposure = std::move(held.exposure);
  held_lease.lease = std::move(held.lease);
  held_lease.interface = std::move(held.interface);
  held_lease.owner = name;
  held_lease.share = std::move(exposing.share);
  if (request.watch_listener) held_lease.listeners = std::move(held.listeners);
  // With another lifetime the descriptor has no meaning: return /dev/null.
  Fd given = std::move(held.keepalive);
  if (request.lifetime == Lifetime::connection) held_lease.keepalive = std::move(given);
  if (request.lifetime != Lifetime::descriptor) given.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const auto said = fmt::format("lease {}: uid {} (pid {}) exposes {} to {}", held_lease.lease.id, uid, pid,
                                list_of(texts_of(request.ports)), held_lease.interface);
  record_grant(*exposing.call, fmt::format("lease {}", held_lease.lease.id));
  const auto path = leases_.add(std::move(held_lease)).path();
  calls_.close(*exposing.call);
  exposing.result.returnResults(path, sdbus::UnixFd(given.get()));
  const std::chrono::duration<double, std::milli> took =
      std::chrono::steady_clock::now() - exposing.call->since;
  log::info("{}, {:.1f} ms after the request", said, took.count());
}

void Manager::release(const LeaseObject& lease, const sdbus::Message& message,
                      LeaseObject::ReleaseCall&& result) {
  const auto shared = std::make_shared<LeaseObject::ReleaseCall>(std::move(result));
  const auto fail = [shared](const sdbus::Error& error) { shared->returnError(error); };
  open(message, fail, [&](const std::shared_ptr<Call>& call) {
    const auto owner = lease.held_lease().lease.owner.uid;
    call->interface = lease.held_lease().interface;
    call->ports = list_of(texts_of(lease.held_lease().lease.ports));
    const auto end = [this, call, shared, owner, id = lease.id()] {
      // The lease may have ended before polkit answered.
      if (leases_.find(id) == nullptr) throw named_error(dbus::kLeaseNotFound, "the lease has already ended");
      check_not_denied(authorise(call->method, call->caller, {.lease_owner = owner}, call->granted));
      record_grant(*call, fmt::format("lease {}", id));
      const auto* const reason = call->caller.uid == owner ? dbus::reason::kReleased : dbus::reason::kRevoked;
      leases_.end(id, reason, [this, call, shared](const std::exception_ptr& failed) {
        calls_.resume(call, [&] {
          if (failed) std::rethrow_exception(failed);
          calls_.close(*call);
          shared->returnResults();
        });
      });
    };
    calls_.authorise(call, {.lease_owner = owner},
                     {{"interface", lease.held_lease().interface}, {"owner", fmt::format("{}", owner)}}, end);
  });
}

void Manager::Probe(ProbeResult&& result, std::int32_t ifindex) {
  answered("Probe", [&] {
    const auto shared = std::make_shared<ProbeResult>(std::move(result));
    const auto fail = [shared](const sdbus::Error& error) { shared->returnError(error); };
    open(current_message(getObject()), fail, [&](const std::shared_ptr<Call>& call) {
      calls_.authorise(call, {}, {}, [this, call, shared, ifindex] {
        works_.looks->run(
            alive_, [ifindex, allowed = config_.allow_interface] { return probe(ifindex, allowed); },
            [this, call, shared](Outcome<Probed>& outcome) {
              calls_.resume(call, [&] {
                const auto facts = facts_of(outcome.get());
                calls_.close(*call);
                shared->returnResults(facts);
              });
            });
      });
    });
  });
}

void Manager::stop() {
  stopping_ = true;
  calls_.refuse(stops());
  leases_.stop();
}

std::string Manager::Version() {
  return answered("a property", [] { return std::string(version()); });
}

std::vector<std::string> Manager::Features() {
  return answered("a property", [] { return option_keys(); });
}

}  // namespace hostnet::daemon
