// The values of the labels. A process is one test run.
#include "path/sidecar/labels.hpp"

#include "core/file.hpp"
#include "core/random.hpp"
#include "core/strings.hpp"
#include "hostnet/version.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

namespace hostnet::exposer {
namespace {

std::string pid_namespace() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/ns/pid", ignored).string();
}

}  // namespace

Labels family_labels() { return {{kFamilyLabel, "true"}, {kLanguageLabel, "c++"}}; }

std::string creation_value() { return random_hex(32); }

const std::string& test_run_id() {
  static const std::string id = random_hex(32);
  return id;
}

Labels test_run_labels() {
  auto labels = family_labels();
  labels.insert({{kVersionLabel, version()},
                 {kTestRunLabel, test_run_id()},
                 {kOwnerLabel, owner_label()},
                 {kCreationLabel, creation_value()}});
  return labels;
}

std::string owner_label() {
  const auto pid = ::getpid();
  return fmt::format("{}/{}/{}/{}", boot_id().value_or(""), pid_namespace(), pid,
                     process_start_time(pid).value_or(0));
}

bool owner_has_ended(std::string_view label) {
  const auto parts = split(label, '/');
  if (parts.size() != 4 || parts[0] != boot_id().value_or("") || parts[1] != pid_namespace()) return false;
  const auto pid = parse_number(parts[2], 1U << 22);
  const auto start = parse_number(parts[3], UINT64_MAX);
  if (!pid || !start) return false;
  const auto process = process_stat(static_cast<pid_t>(*pid));
  return !process || process->start != *start || process->state == 'Z';
}

}  // namespace hostnet::exposer
