// The sidecar as data: image, labels, container. All functions are pure, except those that read the
// environment.
#pragma once

#include "engine/containers.hpp"
#include "path/sidecar/labels.hpp"
#include "path/sidecar/sshd.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::exposer {

/// The image that all testcontainers libraries use for this.
inline constexpr std::string_view kSidecarImage = "testcontainers/sshd:1.3.0";

/// Looks an environment variable up; nullopt when it is unset or empty.
using Environment = std::function<std::optional<std::string>(const char*)>;
/// Reads this process's environment.
std::optional<std::string> process_environment(const char* name);

/// $TESTCONTAINERS_SSHD_CONTAINER_IMAGE, else `sshd.container.image` in the text of
/// ~/.testcontainers.properties, else kSidecarImage; with $TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX (or
/// `hub.image.name.prefix`) before it when it names no registry. Pure.
std::string sidecar_image(const Environment& environment, std::string_view properties);

/// The same for this process and its user.
std::string sidecar_image();

/// The text of ~/.testcontainers.properties; empty when there is none.
std::string testcontainers_properties(const Environment& environment);

struct SidecarRequest {
  std::string lease;
  std::string image;
  std::string network_id;            ///< The network that it is created on.
  bool alias_by_dns = false;         ///< It answers to kAlias there; user-defined networks only.
  std::string alias_container = {};  ///< Id of the one container whose hosts file gets its address.
  /// The address of the engine's host on which its port 22 is published, when its own address cannot be
  /// dialled; empty: none.
  std::string publish_on;
  std::string test_run_id;  ///< test_run_id().
  std::string owner;        ///< owner_label().
  std::string ports = {};   ///< The lease's, as kLeasePortsLabel has them.
};

/// The container. Pure.
engine::ContainerSpec sidecar_spec(const SidecarRequest& request, const ssh::SshdSetup& setup);

}  // namespace hostnet::exposer
