// What an unknown name is answered with.
#include "target/named.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hostnet;
using namespace hostnet::exposer;

namespace {

const KnownNames kKnown{.networks = {"bridge", "web"}, .running = {"db", "app"}, .not_running = {"old"}};

std::string text(const Error& error) { return std::string(error.what()) + "; " + error.hint(); }

}  // namespace

TEST_CASE("an unknown network or container is answered with those that there are") {
  CHECK(text(no_such_network("wbe", kKnown)) ==
        "there is no network 'wbe'; there are 'web' and 'bridge'; did you mean 'web'?");
  CHECK(text(no_such_container("ap", kKnown)) ==
        "there is no container 'ap'; running: 'app' and 'db'; not running: 'old'; did you mean 'app'?");
  CHECK(text(no_such_container("odl", kKnown)) ==
        "there is no container 'odl'; running: 'db' and 'app'; not running: 'old'; did you mean 'old'?");
  CHECK(text(no_such_container("x", {})) == "there is no container 'x'; see them: docker ps -a");
}

TEST_CASE("a name of the other kind is told") {
  CHECK(text(no_such_network("app", kKnown)) ==
        "there is no network 'app', but a container of that name; name the container: --container app");
  CHECK(text(no_such_container("web", kKnown)) ==
        "there is no container 'web', but a network of that name; name the network: --network web");
}
