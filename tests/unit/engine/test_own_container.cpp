// Which container a process runs in, as its files in /proc name it.
#include "engine/own_container.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <vector>

using namespace hostnet;
using namespace hostnet::engine;

namespace {

const std::string kId(64, 'a');
const std::string kOther(64, 'b');

}  // namespace

TEST_CASE("the container of a process, by its mounts") {
  const auto line = [](const std::string& root, const std::string& point) {
    return fmt::format("36 35 98:0 {} {} rw,noatime - ext4 /dev/root rw\n", root, point);
  };
  CHECK(container_id_in(line("/var/lib/docker/containers/" + kId + "/hosts", "/etc/hosts")) == kId);
  CHECK(container_id_in(line("/docker/containers/" + kId + "/resolv.conf", "/etc/resolv.conf")) == kId);
  CHECK(container_id_in(line("/containers/storage/overlay-containers/" + kId + "/userdata/hostname",
                             "/etc/hostname")) == kId);
  // An engine in a container of another one: the innermost.
  CHECK(container_id_in(
            line("/containers/" + kOther + "/volume/containers/" + kId + "/hosts", "/etc/hosts")) == kId);
  CHECK(container_id_in(line("/", "/")).empty());
  // The host has such mounts, too: their points, not their roots, name containers.
  CHECK(container_id_in(line("/", "/var/lib/docker/containers/" + kId + "/mounts/shm")).empty());
  CHECK(container_id_in(line("/docker/containers/" + kId + "/hosts", "/mnt/hosts")).empty());
  // Not an id.
  CHECK(container_id_in(line("/docker/containers/" + kId.substr(1) + "/hosts", "/etc/hosts")).empty());
  CHECK(container_id_in(line("/docker/containers/" + kId + "a/hosts", "/etc/hosts")).empty());
  CHECK(container_id_in(line("/docker/containers/" + std::string(64, 'A') + "/hosts", "/etc/hosts")).empty());
  for (const auto* const broken : {"", "\n", "1 2 3", "1 2 3:4 containers/ /etc/hosts"})
    CHECK(container_id_in(broken).empty());
  // The file that the user mounted does not hide the others.
  CHECK(container_id_in(line("/home/me/hosts", "/etc/hosts") +
                        line("/docker/containers/" + kId + "/hostname", "/etc/hostname")) == kId);
}

TEST_CASE("the containers of a process, by its control groups") {
  using Ids = std::vector<std::string>;
  CHECK(container_ids_in_cgroup("0::/system.slice/docker-" + kId + ".scope\n") == Ids{kId});
  CHECK(container_ids_in_cgroup("5:memory:/docker/" + kId + "\n4:cpu:/docker/" + kId + "\n") == Ids{kId});
  CHECK(container_ids_in_cgroup("4:cpu:/docker/" + kOther + "/docker/" + kId + "\n") == Ids{kId, kOther});
  CHECK(container_ids_in_cgroup("0::/\n").empty());
  CHECK(container_ids_in_cgroup("0::/x" + kId + "a\n").empty());
  CHECK(looks_like_short_id("0123456789ab"));
  CHECK_FALSE(looks_like_short_id("buildhost-01"));
  CHECK_FALSE(looks_like_short_id("0123456789abc"));
}
