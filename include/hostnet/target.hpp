// Who shall reach the host: one container, every container of a network, a bridge, or a network namespace.
#pragma once

#include "hostnet/export.hpp"

#include <string>

namespace hostnet {

/// Names the side that shall reach the host's loopback. A plain value; nothing is looked up before expose().
class HOSTNET_EXPORT Target {
 public:
  /// What the name names.
  enum class Kind { container, network, bridge, netns };

  /// One running container, by name or id (prefix). Only its own addresses may use the lease.
  static Target container(std::string name_or_id) { return {Kind::container, std::move(name_or_id)}; }
  /// Every container on one network of the engine, by name or id.
  static Target network(std::string name_or_id) { return {Kind::network, std::move(name_or_id)}; }
  /// Everything behind a bridge interface of this network namespace; needs no engine.
  static Target bridge(std::string interface) { return {Kind::bridge, std::move(interface)}; }
  /// The owner of a network namespace, by path ("/run/netns/blue", "/proc/4711/ns/net"), which must hang on a
  /// bridge of this namespace by a veth pair. Only its own addresses may use the lease.
  static Target netns(std::string path) { return {Kind::netns, std::move(path)}; }

  /// What name() names.
  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  /// The name, id or path as it was given.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// "container api", "network web", "bridge br0", "netns /run/netns/blue".
  [[nodiscard]] std::string to_string() const;

  /// The same kind and the same text; two names of one container are not equal.
  bool operator==(const Target&) const = default;

 private:
  Target(Kind kind, std::string name) : kind_(kind), name_(std::move(name)) {}

  Kind kind_;
  std::string name_;
};

}  // namespace hostnet
