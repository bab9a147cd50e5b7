// The networks of a compose project, by the labels that an engine lists.
#include "hostnet/error.hpp"
#include "support/expect_error.hpp"
#include "target/project.hpp"
#include "unit/engine/fake_engine.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>
#include <string>
#include <vector>

using namespace hostnet;
using namespace hostnet::exposer;

namespace {

constexpr const char* kDockerProject = "com.docker.compose.project";
constexpr const char* kPodmanProject = "io.podman.compose.project";

// What carries labels at an engine: networks by name, and containers, each with its networks.
struct ComposeWorld {
  struct Labelled {
    std::string label;
    std::string project;
    std::string name;
    std::vector<std::string> networks = {};
  };
  std::vector<Labelled> networks;
  std::vector<Labelled> containers;

  static std::string id(std::size_t index) { return std::string(64, static_cast<char>('0' + index)); }
  // The engine's list of those that carry the label of the filter, or the label with that value.
  static std::string listed(const std::vector<Labelled>& all, const std::string& line) {
    std::string out;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto& one = all[i];
      const bool by_value = line.find(one.label + "%3D" + one.project + "%22") != std::string::npos;
      if (!by_value && line.find(one.label + "%22") == std::string::npos) continue;
      out += fmt::format(R"({}{{"Id":"{}","Name":"{}","Names":["/{}"],"Labels":{{"{}":"{}"}}}})",
                         out.empty() ? "" : ",", id(i), one.name, one.name, one.label, one.project);
    }
    return test::http(200, "[" + out + "]");
  }
  [[nodiscard]] std::string container(const std::string& line) const {
    for (std::size_t i = 0; i < containers.size(); ++i) {
      const auto& one = containers[i];
      if (line.find(id(i)) == std::string::npos || one.networks.empty()) continue;
      std::string endpoints;
      for (const auto& network : one.networks)
        endpoints +=
            fmt::format(R"({}"{}":{{"IPAddress":"198.18.0.5"}})", endpoints.empty() ? "" : ",", network);
      return test::http(200, fmt::format(R"({{"Id":"{}","Name":"/{}","State":{{"Running":true,"Pid":7}},
          "HostConfig":{{"NetworkMode":"x"}},"NetworkSettings":{{"Networks":{{{}}}}}}})",
                                         id(i), one.name, endpoints));
    }
    return test::http(404, R"({"message":"no such container"})");
  }

  [[nodiscard]] std::vector<std::string> networks_of(const std::string& project) const {
    const test::FakeEngine engine([this](const std::string& line, int connection) {
      test::send_bytes(connection, line.find("/_ping") != std::string::npos
                                       ? test::http(200, "OK", "Api-Version: 1.41\r\n")
                                   : line.find("/networks?") != std::string::npos ? listed(networks, line)
                                   : line.find("/containers/json?") != std::string::npos
                                       ? listed(containers, line)
                                       : container(line));
      return true;
    });
    engine::Client client({engine.socket(), "--engine"});
    return networks_of_project(client, project, test::soon());
  }
};

using NetworkNames = std::vector<std::string>;

}  // namespace

TEST_CASE("a project's networks are those that compose made for it, by either label") {
  const ComposeWorld world{.networks = {{kDockerProject, "shop", "shop_web"},
                                        {kDockerProject, "shop", "db"},
                                        {kDockerProject, "blog", "blog_default"},
                                        {kPodmanProject, "shop", "pod_net"}},
                           .containers = {{kDockerProject, "shop", "app", {"elsewhere"}}}};
  CHECK(world.networks_of("shop") == NetworkNames{"db", "pod_net", "shop_web"});
  CHECK(world.networks_of("blog") == NetworkNames{"blog_default"});
}

TEST_CASE("a project on a network that existed already has the networks of its containers") {
  const ComposeWorld world{.networks = {},
                           .containers = {{kDockerProject, "shop", "app", {"shared", "host"}},
                                          {kDockerProject, "shop", "gone"},  // since the list was made
                                          {kDockerProject, "shop", "db", {"none", "back"}},
                                          {kPodmanProject, "pods", "one", {"podman"}}}};
  CHECK(world.networks_of("shop") == NetworkNames{"back", "shared"});
  CHECK(world.networks_of("pods") == NetworkNames{"podman"});
}

TEST_CASE("a project without a network, an unknown one, and none") {
  const ComposeWorld world{.networks = {{kPodmanProject, "blog", "blog_default"}},
                           .containers = {{kDockerProject, "shop", "app", {"host"}}}};
  const auto error = [&](const char* project) {
    return test::error_of([&] { static_cast<void>(world.networks_of(project)); });
  };
  CHECK(error("shop").code() == Errc::no_path);
  CHECK(std::string(error("shop").what()) == "compose project 'shop' is on no network");
  CHECK(error("shpo").code() == Errc::not_found);
  CHECK(std::string(error("shpo").what()) ==
        "there is no compose project 'shpo'; there are 'shop' and 'blog'");
  CHECK(error("shpo").hint() == "did you mean 'shop'?");
  CHECK(error("").code() == Errc::invalid_argument);
}
