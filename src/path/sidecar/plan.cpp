// The sidecar on paper.
#include "path/sidecar/plan.hpp"

#include "core/file.hpp"
#include "core/strings.hpp"
#include "hostnet/exposer.hpp"
#include "hostnet/version.hpp"
#include "path/sidecar/own_labels.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace hostnet::exposer {
namespace {

// The value of "key=value" in a Java properties file, as far as those of testcontainers use the format.
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

std::string pid_namespace() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/ns/pid", ignored).string();
}

std::string boot_id() { return trim(try_read_file("/proc/sys/kernel/random/boot_id").value_or("")); }

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

std::string owner_label() {
  const auto pid = ::getpid();
  return fmt::format("{}/{}/{}/{}", boot_id(), pid_namespace(), pid, process_start_time(pid).value_or(0));
}

bool owner_has_ended(std::string_view label) {
  const auto parts = split(label, '/');
  if (parts.size() != 4 || parts[0] != boot_id() || parts[1] != pid_namespace()) return false;
  const auto pid = parse_number(parts[2], 1U << 22);
  const auto start = parse_number(parts[3], UINT64_MAX);
  if (!pid || !start) return false;
  const auto process = process_stat(static_cast<pid_t>(*pid));
  return !process || process->start != *start || process->state == 'Z';
}

engine::ContainerSpec sidecar_spec(const SidecarRequest& request, const ssh::SshdSetup& setup) {
  engine::ContainerSpec spec{
      .name = "tc-hostnet-" + request.lease,
      .image = request.image,
      .entrypoint = std::vector<std::string>{"sh", "-c"},
      .command = std::vector<std::string>{ssh::sshd_command(setup)},
      .environment = ssh::sshd_environment(setup),
      .labels = {{"org.testcontainers", "true"},
                 {"org.testcontainers.lang", "c++"},
                 {"org.testcontainers.version", version()},
                 {"org.testcontainers.sessionId", request.test_run_id},
                 {std::string(kLeaseLabel), request.lease},
                 {std::string(kCreationLabel), request.lease},
                 {std::string(kOwnerLabel), request.owner}},
      .network = request.network_id,
      // What sshd's separation of privileges needs, and a port below 1024.
      .cap_drop = {"ALL"},
      .cap_add = {"CHOWN", "DAC_OVERRIDE", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID", "SYS_CHROOT"},
      .sysctls = ssh::sshd_sysctls(),
      .no_new_privileges = true,
      .auto_remove = true,
  };
  if (request.alias_by_dns) {
    spec.network_aliases = {kAlias};
    spec.labels.emplace(kAliasLabel, request.network_id);
  }
  if (!request.publish_on.empty())
    spec.ports = {{.container = ssh::kPort, .host_ip = request.publish_on, .host = 0}};
  return spec;
}

}  // namespace hostnet::exposer
