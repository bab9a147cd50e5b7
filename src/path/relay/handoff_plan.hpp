// The hand-off as data: the image with its program, and the container that runs it once. Pure.
#pragma once

#include "core/ipv4.hpp"
#include "engine/containers.hpp"
#include "engine/images.hpp"
#include "path/relay/bound_socket.hpp"

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::relay {

/// The repository of the image, and the label on it.
inline constexpr const char* kHandoffRepository = "tc-hostnet/handoff";
inline constexpr const char* kHandoffLabel = "io.github.tchostnet.handoff";

/// An image with one file, the program.
struct HandoffImage {
  std::string tag;      ///< "tc-hostnet/handoff:" and the first 16 digits of the program's digest.
  std::string layer;    ///< The digest of its only layer, "sha256:…".
  std::string archive;  ///< For Images::load().
};

/// The same for the same program. @throws Error{failure} for a program that is not an ELF file.
HandoffImage handoff_image(std::string_view program);

/// Whether the engine's image has the layer and no other. The engine computed the digests when it got the
/// layers, so a tag or label that somebody else gave another image does not pass.
bool holds_program(const engine::Image& found, const HandoffImage& wanted);

/// Those tags of the image that are ours: "tc-hostnet/handoff:…", with or without Podman's "localhost/".
std::vector<std::string> handoff_tags(const engine::Image& image);

/// The container whose network or hosts file is wanted.
struct HandoffTarget {
  std::string id;
  pid_t pid = 0;  ///< On this machine.
  std::optional<std::uint32_t>
      root;  ///< Who root of its user namespace is on this machine; nullopt: unknown.
  bool of_podman = false;
};

/// The network namespace of the target, as ContainerSpec has it. Podman starts a container that another one names in its
/// options, unless it runs at that moment: a restart would fail over that, and a new container run its command too early.
/// So Podman gets the namespace by the process.
std::string handoff_network(const HandoffTarget& target);

/// As whom a container may write the target's hosts file, as ContainerSpec has it.
struct HandoffUser {
  std::string userns = {};
  std::string user = "0:0";
};
HandoffUser handoff_user(const HandoffTarget& target);

struct HandoffJob {
  std::string name;  ///< The container's.
  std::string lease;
  std::string image;       ///< Id.
  std::string network;     ///< As in ContainerSpec: handoff_network(), or "none".
  std::string socket;      ///< Path of our socket.
  std::string hosts_path;  ///< The hosts file to open; empty: none.
  bool with_map = false;   ///< Make a port map for the lease, which takes CAP_NET_ADMIN.
  Ipv4 address;
  std::vector<Door> ports;
  std::string token;
  std::string test_run_id;  ///< test_run_id().
  std::string owner;        ///< owner_label().
  HandoffUser user;         ///< handoff_user().
  bool selinux = false;     ///< Else it could not use the socket.
};

engine::ContainerSpec handoff_spec(const HandoffJob& job);

}  // namespace hostnet::relay
