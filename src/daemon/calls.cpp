// The table of open calls.
#include "daemon/calls.hpp"

#include "core/log.hpp"
#include "daemon/bus_error.hpp"
#include "daemon/decision_log.hpp"
#include "daemon/guard.hpp"
#include "daemon/message_flags.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <utility>
#include <vector>

namespace hostnet::daemon {
namespace {

Decision decision_on(const Call& call, bool granted, std::string reason) {
  Decision decision{.caller = call.caller.name,
                    .method = call.method.member,
                    .interface = call.interface,
                    .ports = call.ports,
                    .granted = granted,
                    .reason = std::move(reason)};
  // The name is empty when the bus no longer knew the caller.
  if (!call.caller.name.empty()) {
    decision.uid = call.caller.uid;
    decision.pid = call.caller.pid;
  }
  if (call.asked) decision.action = id_of(*call.asked);
  return decision;
}

}  // namespace

void record_grant(const Call& call, std::string what) { record(decision_on(call, true, std::move(what))); }

Calls::~Calls() {
  for (const auto& [number, call] : calls_) {
    *call->left = true;
    call->fail = nullptr;
  }
}

void Calls::open(const sdbus::Message& message, std::function<void(const sdbus::Error&)> fail,
                 const std::function<void(const std::shared_ptr<Call>&)>& first) {
  const auto call = std::make_shared<Call>();
  call->number = ++last_number_;
  call->fail = std::move(fail);
  calls_.emplace(call->number, call);
  resume(call, [&] {
    call->method = {message.getInterfaceName(), message.getMemberName()};
    call->caller = Callers::identify(message);
    call->may_ask = allows_interaction(message);
    call->place = quota_.call(call->caller.uid);
    first(call);
  });
}

void Calls::resume(const std::shared_ptr<Call>& call, const Continuation& step) {
  if (!calls_.contains(call->number)) return;
  try {
    step();
  } catch (...) {
    const auto error = bus_error(std::current_exception());
    record(decision_on(*call, false, error.getMessage()));
    const auto fail = std::move(call->fail);
    close(*call);
    // Empty when the call was closed and sending its answer failed.
    if (fail) guarded("an answer", [&] { fail(error); });
  }
}

// Clears `fail` first: it may own the object that answers the call.
void Calls::close(Call& call) {
  call.fail = nullptr;
  calls_.erase(call.number);
}

void check_not_denied(const Ruling& decision) {
  if (decision.verdict != Ruling::Verdict::deny) return;
  throw Error(Errc::not_authorised,
              decision.action ? fmt::format("the listeners of a port have changed: this now requires {}{}",
                                            id_of(*decision.action),
                                            decision.why.empty() ? "" : " (" + decision.why + ")")
                              : "this call is never allowed");
}

void Calls::authorise(const std::shared_ptr<Call>& call, const Facts& facts, const Details& details,
                      Continuation next) {
  const auto decision = daemon::authorise(call->method, call->caller, facts, call->granted);
  check_not_denied(decision);
  if (decision.verdict == Ruling::Verdict::allow) return next();
  ask(call, decision, details, std::move(next));
}

void Calls::ask(const std::shared_ptr<Call>& call, const Ruling& ruling, const Details& details,
                Continuation granted) {
  const auto action = *ruling.action;
  call->prompt = quota_.wait(call->caller.uid);
  call->asked = action;
  call->question =
      bouncer_.ask(action, call->caller, details, call->may_ask,
                   [this, call, action, why = ruling.why, granted = std::move(granted)](Answer answer) {
                     call->question = 0;
                     call->prompt = Quota::Share();
                     resume(call, [&] {
                       if (answer != Answer::yes) throw refusal(answer, action, why);
                       call->granted = action;
                       granted();
                     });
                   });
}

void Calls::leave(const std::string& name) {
  std::vector<std::shared_ptr<Call>> theirs;
  for (const auto& [number, call] : calls_)
    if (call->caller.name == name) theirs.push_back(call);
  for (const auto& call : theirs) {
    *call->left = true;
    close(*call);
    log::info("uid {} left the bus before its request was answered", call->caller.uid);
    if (call->question != 0) guarded("a prompt", [&] { bouncer_.cancel(call->question); });
  }
}

void Calls::refuse(const sdbus::Error& error) {
  for (const auto& entry : std::exchange(calls_, {})) {
    const auto& call = entry.second;
    *call->left = true;
    guarded("an answer", [&] { call->fail(error); });
    call->fail = nullptr;
    if (call->question != 0) guarded("a prompt", [&] { bouncer_.cancel(call->question); });
  }
}

}  // namespace hostnet::daemon
