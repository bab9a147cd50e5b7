// What a record names is removed from an engine only if it was created as what the record says.
#include "hostnet/error.hpp"
#include "path/clear_away.hpp"
#include "path/sidecar/own_labels.hpp"
#include "path/sidecar/plan.hpp"
#include "support/temp_dir.hpp"
#include "unit/engine/fake_engine.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>

using namespace hostnet;
using namespace hostnet::exposer;
using namespace std::chrono_literals;

namespace {

const std::string kLease{kLeaseLabel};
const std::string kCreation{kCreationLabel};

// An engine with one container, "production-database", made from an image.
class Engine {
 public:
  Engine(std::string container_labels, std::string image_labels)
      : engine_(test::serve_paths(
            {{"/v1.41/containers/production-database/json",
              fmt::format(
                  R"({{"Id":"abcdef0000000000000000000000000000000000000000000000000000000000","Name":"/production-database","Image":"sha256:i",
"State":{{"Running":true,"Pid":7}},"Config":{{"Labels":{}}},"HostConfig":{{"NetworkMode":"web"}},"NetworkSettings":{{}}}})",
                  container_labels)},
             {"/v1.41/images/sha256:i/json", fmt::format(R"({{"Config":{{"Labels":{}}}}})", image_labels)},
             {"/v1.41/images/sha256%3Ai/json", fmt::format(R"({{"Config":{{"Labels":{}}}}})", image_labels)},
             {"/v1.41/containers/abcdef", ""}},
            "Api-Version: 1.41\r\n")) {}

  // Whether a `list` that finds the record of a dead owner, which names that container, removes it.
  bool is_removed_for(const std::string& lease) {
    const test::TempDir dir;
    const state::TunnelStore store(dir.path() / "state");
    state::TunnelRecord record{.via = "ssh", .id = lease};
    record.owner.token = "00ff";
    record.engine = engine_.socket();
    record.sidecar = "production-database";
    store.save(record);
    clear_dead_leases(store, Deadline::after(10s));
    CHECK(store.load().empty());
    const auto requests = engine_.requests();
    CHECK(std::ranges::any_of(requests, [](const auto& line) {
      return line.find("production-database/json") != std::string::npos;
    }));
    return std::ranges::any_of(requests, [](const auto& line) { return line.starts_with("DELETE"); });
  }

 private:
  test::FakeEngine engine_;
};

std::string lease_label(const std::string& lease) { return fmt::format(R"({{"{}":"{}"}})", kLease, lease); }

}  // namespace

TEST_CASE("labels that come with the image are not the container's own") {
  const Labels image{{kLease, "1"}, {"a", "b"}};
  CHECK(labels_of_creation({{kLease, "1"}, {"a", "b"}}, image).empty());
  CHECK(labels_of_creation({{kLease, "2"}, {"a", "b"}}, image) == Labels{{kLease, "2"}});
  CHECK(labels_of_creation({{"c", "d"}}, image) == Labels{{"c", "d"}});
  CHECK(labels_of_creation({}, image).empty());
}

TEST_CASE("a container that was created by us from an image that was made of one of ours keeps its labels") {
  const Labels image{{kLease, "1"}, {kCreation, "x"}};
  const Labels again{{kLease, "1"}, {kCreation, "y"}};
  CHECK(labels_of_creation(again, image) == again);
  CHECK(labels_of_creation(image, image).empty());
  CHECK(creation_value() != creation_value());
}

TEST_CASE("a record has a container removed only if that was created as the sidecar of its lease") {
  CHECK(Engine(lease_label("0a"), "null").is_removed_for("0a"));
  CHECK(Engine(lease_label("0a"), lease_label("0b")).is_removed_for("0a"));
  CHECK_FALSE(Engine("null", "null").is_removed_for("0a"));
  CHECK_FALSE(Engine("{}", "null").is_removed_for("0a"));
  CHECK_FALSE(Engine(lease_label("0b"), "null").is_removed_for("0a"));
  CHECK_FALSE(Engine(lease_label("0a"), lease_label("0a")).is_removed_for("0a"));
}
