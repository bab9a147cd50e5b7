// The table of authorisation: what needs which action, and that nothing slips through.
#include "daemon/bouncer.hpp"

#include <doctest/doctest.h>

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

TEST_CASE("one's own listener on a port of one's own is the harmless case") {
  const auto request = request_for({HostPort::same(8080)});
  CHECK(decide(caller(kMe), request, {{kMe}}) == Action::expose_own);
  CHECK(decide(caller(kMe), request, {{kMe, kMe}}) == Action::expose_own);
}

TEST_CASE("everything else is the risky one") {
  const auto request = request_for({HostPort::same(8080)});
  CHECK(decide(caller(kMe), request, {{kOther}}) == Action::expose_foreign);
  CHECK(decide(caller(kMe), request, {{}}) == Action::expose_foreign);
  // Sockets of two users on one port: which of them gets a connection is the kernel's choice.
  CHECK(decide(caller(kMe), request, {{kMe, kOther}}) == Action::expose_foreign);
  CHECK(decide(caller(kMe), request, {{kMe, 0}}) == Action::expose_foreign);
  // Facts that do not fit the request are no facts.
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

TEST_CASE("root is not asked") {
  auto request = request_for({HostPort::same(80)});
  request.lifetime = state::Lifetime::persistent;
  CHECK_FALSE(decide(caller(0), request, {{}}).has_value());
  CHECK_FALSE(decide_release(caller(0), kMe).has_value());
}

TEST_CASE("a release is open to the owner alone") {
  CHECK_FALSE(decide_release(caller(kMe), kMe).has_value());
  CHECK(decide_release(caller(kMe), kOther) == Action::release_any);
  CHECK(decide_release(caller(kMe), 0) == Action::release_any);
}

TEST_CASE("what was granted covers the same and the lesser, never the greater") {
  CHECK(covers(Action::expose_own, Action::expose_own));
  CHECK(covers(Action::expose_foreign, Action::expose_own));
  CHECK_FALSE(covers(Action::expose_own, Action::expose_foreign));
  CHECK_FALSE(covers(Action::release_any, Action::expose_own));
  CHECK_FALSE(covers(Action::expose_foreign, Action::release_any));
}

TEST_CASE("the prompt shows what the daemon worded, and no label") {
  auto request = request_for({HostPort::same(8080), HostPort::parse("5432:15432/udp")});
  request.label = "<b>trust me</b>";
  const auto details = details_of(request, "br-1");
  CHECK(details.at("interface") == "br-1");
  CHECK(details.at("ports").find("5432:15432/udp") != std::string::npos);
  for (const auto& [key, value] : details) CHECK(value.find('<') == std::string::npos);
}
