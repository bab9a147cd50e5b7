// The state of a GenericImage. It is no part of the ABI, so that a setter more breaks no program.
#pragma once

#include "hostnet/exposer.hpp"
#include "hostnet/image.hpp"
#include "hostnet/port.hpp"
#include "hostnet/wait_for.hpp"

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace hostnet {

/// Everything that a GenericImage was told. A value.
struct ContainerRequest {
  /// with_mapped_port().
  struct Mapping {
    std::uint16_t host = 0;   ///< 0: the engine chooses.
    ContainerPort container;  ///< Where it leads.
  };
  /// with_copy_to(), with_copy_file_to().
  struct Copy {
    std::variant<std::string, std::filesystem::path> content;  ///< A text, or a file of this machine.
    std::string target;                                        ///< Absolute path in the container.
    unsigned mode = 0644;                                      ///< Permission bits.
  };
  /// with_health_check().
  struct HealthCheck {
    std::vector<std::string> command;          ///< Exit code 0 is health.
    std::chrono::milliseconds interval{1000};  ///< Between two runs of it.
  };

  std::string image;                                       ///< With its tag or digest.
  std::vector<ContainerPort> exposed;                      ///< with_exposed_port()
  std::vector<Mapping> mapped;                             ///< with_mapped_port()
  std::vector<HostPort> host_ports;                        ///< with_exposed_host_port()
  std::optional<std::vector<std::string>> entrypoint;      ///< nullopt: the image's.
  std::optional<std::vector<std::string>> command;         ///< nullopt: the image's.
  std::map<std::string, std::string> environment;          ///< Added to the image's.
  std::string network;                                     ///< Empty: the engine's default one.
  std::vector<std::pair<std::string, std::string>> hosts;  ///< Name, address.
  std::string name;                                        ///< Empty: the engine chooses.
  std::map<std::string, std::string> labels;               ///< with_label()
  std::vector<Copy> copies;                                ///< In the order they are written.
  std::optional<HealthCheck> health_check;                 ///< nullopt: the image's, if it has one.
  std::vector<WaitFor> wait_for;                           ///< All of them, in this order.
  std::chrono::milliseconds startup_timeout{60'000};       ///< For everything together.
  ExposerOptions exposer;                                  ///< with_exposer()
  PullPolicy pull_policy = PullPolicy::missing;            ///< with_pull_policy()
  PullProgress pull_progress;                              ///< May be empty.
  bool reuse = false;                                      ///< with_reuse()
};

}  // namespace hostnet
