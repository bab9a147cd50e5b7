// The sidecar's image and specification.
#include "path/sidecar/plan.hpp"

#include "core/file.hpp"
#include "core/strings.hpp"
#include "hostnet/exposer.hpp"
#include "hostnet/version.hpp"

#include <fmt/format.h>

#include <cstdlib>

namespace hostnet::exposer {
namespace {

// The value of "key=value" in a Java properties file, in the subset of the format that testcontainers uses.
std::optional<std::string> property(std::string_view text, std::string_view key) {
  for (const auto line : split(text, '\n')) {
    const auto trimmed = trim(line);
    if (trimmed.starts_with('#') || !trimmed.starts_with(key)) continue;
    const auto rest = trim(trimmed.substr(key.size()));
    if (rest.empty() || (rest.front() != '=' && rest.front() != ':')) continue;
    if (const auto value = trim(rest.substr(1)); !value.empty()) return std::string(value);
  }
  return std::nullopt;
}

// Whether a reference begins with a registry's host: its first part has a dot or a colon, or is localhost.
bool names_registry(std::string_view image) {
  const auto slash = image.find('/');
  if (slash == std::string_view::npos) return false;
  const auto first = image.substr(0, slash);
  return first == "localhost" || first.find_first_of(".:") != std::string_view::npos;
}

}  // namespace

std::optional<std::string> process_environment(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr && *value != '\0' ? std::optional<std::string>(value) : std::nullopt;
}

std::string testcontainers_properties(const Environment& environment) {
  const auto home = environment("HOME");
  return home ? try_read_file(*home + "/.testcontainers.properties").value_or("") : "";
}

std::string sidecar_image(const Environment& environment, std::string_view properties) {
  auto image = environment("TESTCONTAINERS_SSHD_CONTAINER_IMAGE");
  if (!image) image = property(properties, "sshd.container.image");
  if (!image) image = std::string(kSidecarImage);
  auto prefix = environment("TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX");
  if (!prefix) prefix = property(properties, "hub.image.name.prefix");
  if (!prefix || names_registry(*image)) return *image;
  return fmt::format("{}{}{}", *prefix, prefix->ends_with('/') ? "" : "/", *image);
}

std::string sidecar_image() {
  return sidecar_image(&process_environment, testcontainers_properties(&process_environment));
}

engine::ContainerSpec sidecar_spec(const SidecarRequest& request, const ssh::SshdSetup& setup) {
  engine::ContainerSpec spec{
      .name = std::string(kSidecarPrefix) + request.lease,
      .image = request.image,
      .entrypoint = std::vector<std::string>{"sh", "-c"},
      .command = std::vector<std::string>{ssh::sshd_command(setup)},
      .environment = ssh::sshd_environment(setup),
      .labels = family_labels(),
      .network = request.network_id,
      // For sshd's privilege separation, and a port below 1024.
      .cap_drop = {"ALL"},
      .cap_add = {"CHOWN", "DAC_OVERRIDE", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID", "SYS_CHROOT"},
      .sysctls = ssh::sshd_sysctls(),
      .no_new_privileges = true,
      .auto_remove = true,
  };
  spec.labels.insert({{kVersionLabel, version()},
                      {kTestRunLabel, request.test_run_id},
                      {kLeaseLabel, request.lease},
                      {kCreationLabel, request.lease},
                      {kOwnerLabel, request.owner}});
  if (request.alias_by_dns) {
    spec.network_aliases = {kAlias};
    spec.labels.emplace(kAliasLabel, request.network_id);
  }
  if (!request.alias_container.empty()) spec.labels.emplace(kAliasContainerLabel, request.alias_container);
  if (!request.ports.empty()) spec.labels.emplace(kLeasePortsLabel, request.ports);
  if (!request.publish_on.empty())
    spec.ports = {{.container = ssh::kPort, .host_ip = request.publish_on, .host = 0}};
  return spec;
}

}  // namespace hostnet::exposer
