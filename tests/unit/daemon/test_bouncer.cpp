// The authorisation table: which request needs which action, and no other request passes.
#include "daemon/bouncer.hpp"
#include "dbus/names.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

using namespace hostnet;
using namespace hostnet::daemon;

namespace {

constexpr uid_t kMe = 1000;
constexpr uid_t kOther = 1001;

Request request_for(std::vector<HostPort> ports) {
  Request request;
  request.ifindex = 7;
  request.ports = std::move(ports);
  return request;
}

Caller caller(uid_t uid) {
  Caller caller;
  caller.name = ":1.5";
  caller.uid = uid;
  return caller;
}

}  // namespace

TEST_CASE("the caller's own listener on an unprivileged port needs only expose-own") {
  const auto request = request_for({HostPort::same(8080)});
  CHECK(decide(caller(kMe), request, {{kMe}}) == Action::expose_own);
  CHECK(decide(caller(kMe), request, {{kMe, kMe}}) == Action::expose_own);
}

TEST_CASE("everything else needs expose-foreign") {
  const auto request = request_for({HostPort::same(8080)});
  CHECK(decide(caller(kMe), request, {{kOther}}) == Action::expose_foreign);
  CHECK(decide(caller(kMe), request, {{}}) == Action::expose_foreign);
  // Sockets of two users on one port: the kernel chooses which of them gets a connection.
  CHECK(decide(caller(kMe), request, {{kMe, kOther}}) == Action::expose_foreign);
  CHECK(decide(caller(kMe), request, {{kMe, 0}}) == Action::expose_foreign);
  // Facts that do not match the request do not count.
  CHECK(decide(caller(kMe), request, {}) == Action::expose_foreign);
  CHECK(decide(caller(kMe), request, {{kMe}, {kMe}}) == Action::expose_foreign);

  CHECK(decide(caller(kMe), request_for({HostPort::same(8080), HostPort::same(8081)}), {{kMe}, {kOther}}) ==
        Action::expose_foreign);
  CHECK(decide(caller(kMe), request_for({HostPort::same(1023)}), {{kMe}}) == Action::expose_foreign);
  CHECK(decide(caller(kMe), request_for({HostPort::same(1024)}), {{kMe}}) == Action::expose_own);
  CHECK(decide(caller(kMe), request_for({HostPort::parse("8080:80")}), {{kMe}}) == Action::expose_foreign);
  CHECK(decide(caller(kMe), request_for({HostPort::parse("80:8080")}), {{kMe}}) == Action::expose_foreign);

  auto persistent = request;
  persistent.lifetime = state::Lifetime::persistent;
  CHECK(decide(caller(kMe), persistent, {{kMe}}) == Action::expose_foreign);
}

TEST_CASE("a refusal says what makes it expose-foreign") {
  const auto why = [](const std::string& port, const ListenerUids& listeners) {
    return why_foreign(caller(kMe), request_for({HostPort::parse(port)}), listeners);
  };
  CHECK(why("8080", {{kMe, kOther}}) ==
        fmt::format("uid {} listens on 127.0.0.1:8080, and the caller is uid {}", kOther, kMe));
  CHECK(why("8080", {{}}) == "no process listens on 127.0.0.1:8080");
  CHECK(why("53000/udp", {{}}) == "no process listens on 127.0.0.1:53000/udp");
  CHECK(why("8080:80", {{kMe}}) == "8080:80/tcp has a port below 1024");
  CHECK(why("8080", {{kMe}}) == "the lease is to outlive its caller");
  const auto request = request_for({HostPort::same(8080)});
  const ListenerUids listeners{{kOther}};
  const Facts facts{.request = &request, .listeners = &listeners};
  CHECK(authorise({dbus::kManagerInterface, "Expose"}, caller(kMe), facts).why == why("8080", listeners));
  const ListenerUids own{{kMe}};
  CHECK(authorise({dbus::kManagerInterface, "Expose"}, caller(kMe), {.request = &request, .listeners = &own})
            .why.empty());
}

TEST_CASE("root is not asked") {
  auto request = request_for({HostPort::same(80)});
  request.lifetime = state::Lifetime::persistent;
  CHECK_FALSE(decide(caller(0), request, {{}}).has_value());
  CHECK_FALSE(decide_release(caller(0), kMe).has_value());
}

TEST_CASE("only the owner may release without authorisation") {
  CHECK_FALSE(decide_release(caller(kMe), kMe).has_value());
  CHECK(decide_release(caller(kMe), kOther) == Action::release_any);
  CHECK(decide_release(caller(kMe), 0) == Action::release_any);
}

TEST_CASE("a grant covers the same and lesser requests, never greater ones") {
  CHECK(covers(Action::expose_own, Action::expose_own));
  CHECK(covers(Action::expose_foreign, Action::expose_own));
  CHECK_FALSE(covers(Action::expose_own, Action::expose_foreign));
  CHECK_FALSE(covers(Action::release_any, Action::expose_own));
  CHECK_FALSE(covers(Action::expose_foreign, Action::release_any));
}

TEST_CASE("the prompt shows only the daemon's text, and no label") {
  auto request = request_for({HostPort::same(8080), HostPort::parse("5432:15432/udp")});
  request.label = "<b>trust me</b>";
  const auto details = details_of(request, "br-1");
  CHECK(details.at("interface") == "br-1");
  CHECK(details.at("ports").find("5432:15432/udp") != std::string::npos);
  for (const auto& [key, value] : details) CHECK(value.find('<') == std::string::npos);
}

TEST_CASE("a method outside the table is denied, even to root") {
  const auto request = request_for({HostPort::same(8080)});
  const ListenerUids listeners{{kMe}};
  const Facts facts{.request = &request, .listeners = &listeners, .lease_owner = kMe};
  const std::string manager = "io.github.tchostnet.HostNet1.Manager";
  const std::string lease = "io.github.tchostnet.HostNet1.Lease";
  using Verdict = Ruling::Verdict;
  for (const auto& method : {Method{manager, "Release"}, Method{lease, "Expose"}, Method{manager, "Reload"},
                             Method{manager, "expose"}, Method{"", "Expose"}, Method{lease, ""},
                             Method{"org.freedesktop.DBus.Properties", "Set"}}) {
    CHECK(authorise(method, caller(0), facts).verdict == Verdict::deny);
    CHECK(authorise(method, caller(kMe), facts, Action::expose_foreign).verdict == Verdict::deny);
  }
  CHECK(authorise({manager, "Probe"}, caller(kMe), {}).verdict == Verdict::allow);
  CHECK(authorise({manager, "Expose"}, caller(0), facts).verdict == Verdict::allow);
  CHECK(authorise({lease, "Release"}, caller(kMe), facts).verdict == Verdict::allow);
}

TEST_CASE("without a method's facts nothing is permitted") {
  const auto request = request_for({HostPort::same(8080)});
  using Verdict = Ruling::Verdict;
  const Method expose{"io.github.tchostnet.HostNet1.Manager", "Expose"};
  const Method release{"io.github.tchostnet.HostNet1.Lease", "Release"};
  CHECK(authorise(expose, caller(0), {}).verdict == Verdict::deny);
  CHECK(authorise(expose, caller(0), {.request = &request}).verdict == Verdict::deny);
  CHECK(authorise(release, caller(0), {}).verdict == Verdict::deny);
  CHECK(authorise(release, caller(0), {.request = &request}, Action::release_any).verdict == Verdict::deny);
}

TEST_CASE("a grant permits what it covers, and no action is requested twice") {
  const auto request = request_for({HostPort::same(8080)});
  const ListenerUids own{{kMe}};
  const ListenerUids foreign{{kOther}};
  using Verdict = Ruling::Verdict;
  const Method expose{"io.github.tchostnet.HostNet1.Manager", "Expose"};
  const Method release{"io.github.tchostnet.HostNet1.Lease", "Release"};
  const auto ruling = authorise(expose, caller(kMe), {.request = &request, .listeners = &own});
  CHECK(ruling.verdict == Verdict::ask);
  CHECK(ruling.action == Action::expose_own);
  const auto with = [&](const ListenerUids& listeners, Action granted) {
    return authorise(expose, caller(kMe), {.request = &request, .listeners = &listeners}, granted).verdict;
  };
  CHECK(with(own, Action::expose_own) == Verdict::allow);
  CHECK(with(own, Action::expose_foreign) == Verdict::allow);
  CHECK(with(foreign, Action::expose_foreign) == Verdict::allow);
  CHECK(with(foreign, Action::expose_own) == Verdict::deny);
  CHECK(with(foreign, Action::release_any) == Verdict::deny);
  const auto releasing = [&](std::optional<Action> granted) {
    return authorise(release, caller(kMe), {.lease_owner = kOther}, granted).verdict;
  };
  CHECK(releasing({}) == Verdict::ask);
  CHECK(releasing(Action::release_any) == Verdict::allow);
  CHECK(releasing(Action::expose_foreign) == Verdict::deny);
}
