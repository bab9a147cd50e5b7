// What an engine says of its part in a swarm. The answers are Docker 20.10's, shortened.
#include "engine/swarm.hpp"
#include "hostnet/error.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace hostnet;
using namespace hostnet::engine;

TEST_CASE("a swarm's worker, a manager, and who is none") {
  const auto worker = parse_swarm_node(
      R"({"Swarm":{"NodeID":"w1","NodeAddr":"198.51.100.1","LocalNodeState":"active","ControlAvailable":false,"Error":"",)"
      R"("RemoteManagers":[{"NodeID":"m1","Addr":"198.51.100.2:2377"},{"NodeID":"m2","Addr":"[fd00::2]:2377"}]}})");
  CHECK(worker.is_member);
  CHECK(worker.address == "198.51.100.1");
  CHECK_FALSE(worker.is_manager);
  CHECK_FALSE(worker.is_alone);
  CHECK(worker.managers == std::vector<std::string>{"198.51.100.2:2377", "[fd00::2]:2377"});

  const auto manager = parse_swarm_node(
      R"({"Swarm":{"LocalNodeState":"active","ControlAvailable":true,"RemoteManagers":null,"Nodes":2,"Managers":1}})");
  CHECK(manager.is_manager);
  CHECK_FALSE(manager.is_alone);
  CHECK(parse_swarm_node(R"({"Swarm":{"LocalNodeState":"active","ControlAvailable":true,"Nodes":1}})")
            .is_alone);

  for (const char* const none :
       {"{}", R"({"Swarm":null})", R"({"Swarm":{"LocalNodeState":"inactive","ControlAvailable":false}})",
        R"({"Swarm":{"LocalNodeState":"locked","ControlAvailable":false}})"}) {
    CAPTURE(none);
    CHECK_FALSE(parse_swarm_node(none).is_member);
  }
  CHECK_THROWS_AS(parse_swarm_node(R"({"Swarm":{"LocalNodeState":"active","RemoteManagers":[{}]}})"), Error);
  CHECK_THROWS_AS(parse_swarm_node("[]"), Error);
}

TEST_CASE("who is on an overlay network") {
  const auto ends = parse_overlay_ends(
      R"({"Name":"open","Services":{"":{"VIP":"<nil>","Tasks":[{"Name":"there","EndpointIP":"10.0.1.2",)"
      R"("Info":{"Host IP":"198.51.100.1"}},{"Name":"here"}]},"web":{"VIP":"10.0.1.9","Tasks":null}}})");
  CHECK(ends == std::vector<OverlayEnd>{{"there", "198.51.100.1"}, {"here", ""}});
  CHECK(parse_overlay_ends(R"({"Name":"open"})").empty());
  CHECK_THROWS_AS(parse_overlay_ends(R"({"Services":[]})"), Error);
}

TEST_CASE("a manager's host") {
  CHECK(host_of_manager("198.51.100.2:2377") == "198.51.100.2");
  CHECK(host_of_manager("[fd00::2]:2377") == "[fd00::2]");
  CHECK(host_of_manager("[fd00::2]") == "[fd00::2]");
  CHECK(host_of_manager("build") == "build");
  CHECK(host_of_manager("$(id):2377").empty());
  CHECK(host_of_manager("-oProxyCommand=x:2377").empty());
  CHECK(host_of_manager("").empty());
}
