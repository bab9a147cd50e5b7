// The target of a lease: one container, every container of a network, a bridge, or a network namespace.
#pragma once

#include "hostnet/export.hpp"

#include <string>
#include <utility>

namespace hostnet {

/// Names the containers that get access. A value; expose() resolves the name.
class HOSTNET_EXPORT Target {
 public:
  /// The kind of object that name() names.
  enum class Kind { container, network, bridge, netns };

  /// One running container, by name, id or id prefix. Only its own addresses get access.
  static Target container(std::string name_or_id) { return {Kind::container, std::move(name_or_id)}; }
  /// Every container on one network of the engine, by name or id.
  static Target network(std::string name_or_id) { return {Kind::network, std::move(name_or_id)}; }
  /// Every peer behind a bridge interface of this network namespace. Needs no engine.
  static Target bridge(std::string interface) { return {Kind::bridge, std::move(interface)}; }
  /// A network namespace, by path ("/run/netns/blue", "/proc/4711/ns/net"). A veth pair must connect it to a
  /// bridge of this network namespace. Only its own addresses get access.
  static Target netns(std::string path) { return {Kind::netns, std::move(path)}; }

  /// The kind of object that name() names.
  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  /// The name, id or path, as given.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// "container api", "network web", "bridge br0", "netns /run/netns/blue".
  [[nodiscard]] std::string to_string() const;

  /// Compares kind and text. The name and the id of one container are not equal.
  bool operator==(const Target&) const = default;

 private:
  Target(Kind kind, std::string name) : kind_(kind), name_(std::move(name)) {}

  Kind kind_;
  std::string name_;
};

}  // namespace hostnet
