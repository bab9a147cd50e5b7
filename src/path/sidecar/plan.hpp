// What the sidecar is made from, as data: image, labels, container. Pure functions, but for the two that look
// at the environment and at processes.
#pragma once

#include "engine/containers.hpp"
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

/// Carries the lease's id; every sidecar of ours has it.
inline constexpr std::string_view kLeaseLabel = "io.github.tchostnet.lease";
/// Carries the owner, as owner_label() writes it.
inline constexpr std::string_view kOwnerLabel = "io.github.tchostnet.owner";
/// Carries the id of the network on which the sidecar answers to the alias by DNS.
inline constexpr std::string_view kAliasLabel = "io.github.tchostnet.alias-network";

/// Looks an environment variable up; nullopt when it is unset or empty.
using Environment = std::function<std::optional<std::string>(const char*)>;
/// The process's own.
std::optional<std::string> process_environment(const char* name);

/// $TESTCONTAINERS_SSHD_CONTAINER_IMAGE, else `sshd.container.image` in the text of
/// ~/.testcontainers.properties, else kSidecarImage; with $TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX (or
/// `hub.image.name.prefix`) before it when it names no registry. Pure.
std::string sidecar_image(const Environment& environment, std::string_view properties);

/// The same for this process and its user.
std::string sidecar_image();

/// The text of ~/.testcontainers.properties; empty when there is none.
std::string testcontainers_properties(const Environment& environment);

/// Names a process for as long as this boot lasts: "BOOT-ID/PID-NAMESPACE/PID/START". @throws Error.
std::string owner_label();

/// Whether the process of such a label is known to have ended. False when it cannot be told from here:
/// another boot is another machine or a machine that has lost its containers, another pid namespace is not
/// ours to judge.
bool owner_has_ended(std::string_view label);

struct SidecarRequest {
  std::string lease;
  std::string image;
  std::string network_id;     ///< The network that it is created on.
  bool alias_by_dns = false;  ///< It answers to kAlias there; user-defined networks only.
  /// The address of the engine's host on which its port 22 is published, where its own cannot be dialled;
  /// empty: none.
  std::string publish_on;
  std::string test_run_id;  ///< As the other testcontainers libraries label what belongs together.
  std::string owner;        ///< owner_label().
};

/// The container. Pure.
engine::ContainerSpec sidecar_spec(const SidecarRequest& request, const ssh::SshdSetup& setup);

}  // namespace hostnet::exposer
