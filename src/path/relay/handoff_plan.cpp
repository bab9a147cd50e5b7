// The image in the format of `docker save`, which both engines read, and the container's limits.
#include "path/relay/handoff_plan.hpp"

#include "core/json.hpp"
#include "core/sha256.hpp"
#include "core/tar.hpp"
#include "hostnet/error.hpp"
#include "hostnet/version.hpp"
#include "path/relay/handoff_message.hpp"
#include "path/sidecar/labels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace hostnet::relay {
namespace {

constexpr const char* kProgram = "/tc-hostnet-handoff";
constexpr const char* kSocketInside = "/socket";
constexpr const char* kHostsInside = "/hosts";
// Far above what the program needs: the container runtime itself runs under these limits before it.
constexpr std::int64_t kHandoffMemory = 64LL << 20;
constexpr std::int64_t kMostProcesses = 64;

// Go's name for the machine of an ELF file.
std::string architecture_of(std::string_view program) {
  constexpr std::size_t machine_at = 18;
  if (program.size() < 64 || !program.starts_with("\x7f"
                                                  "ELF"))
    throw Error(Errc::failure, "the program of the hand-off is not an ELF file", "reinstall tc-hostnet");
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(program[at]); };
  const bool big_endian = byte(5) == 2;
  const auto low = byte(machine_at + (big_endian ? 1 : 0));
  const auto high = byte(machine_at + (big_endian ? 0 : 1));
  const auto machine = static_cast<unsigned>(low | high << 8);
  static const std::map<unsigned, const char*> names{{3, "386"},       {21, "ppc64le"}, {22, "s390x"},
                                                     {40, "arm"},      {62, "amd64"},   {183, "arm64"},
                                                     {243, "riscv64"}, {258, "loong64"}};
  const auto found = names.find(machine);
  return found == names.end() ? "unknown" : found->second;
}

std::string digest_of(std::string_view data) { return "sha256:" + sha256_hex(data); }

}  // namespace

HandoffImage handoff_image(std::string_view program) {
  const auto architecture = architecture_of(program);
  const auto layer = make_tar({{kProgram, std::string(program), 0755}});
  HandoffImage image;
  image.tag = fmt::format("{}:{}", kHandoffRepository, sha256_hex(program).substr(0, 16));
  image.layer = digest_of(layer);
  constexpr const char* created = "1970-01-01T00:00:00Z";
  const auto config =
      json::Value{
          {"architecture", architecture},
          {"os", "linux"},
          {"created", created},
          {"config",
           {{"Entrypoint", std::vector<std::string>{kProgram}}, {"Labels", {{kHandoffLabel, version()}}}}},
          {"rootfs", {{"type", "layers"}, {"diff_ids", std::vector<std::string>{image.layer}}}},
          {"history", json::array({json::Value{{"created", created}, {"created_by", "tc-hostnet"}}})}}
          .dump();
  const auto config_name = sha256_hex(config) + ".json";
  constexpr const char* layer_name = "layer.tar";
  const auto manifest = json::array({json::Value{{"Config", config_name},
                                                 {"RepoTags", std::vector<std::string>{image.tag}},
                                                 {"Layers", std::vector<std::string>{layer_name}}}})
                            .dump();
  image.archive = make_tar({{std::string("/") + layer_name, layer, 0644},
                            {"/" + config_name, config, 0644},
                            {"/manifest.json", manifest, 0644}});
  return image;
}

bool holds_program(const engine::Image& found, const HandoffImage& wanted) {
  return found.layers == std::vector{wanted.layer};
}

std::vector<std::string> handoff_tags(const engine::Image& image) {
  std::vector<std::string> out;
  const auto beginning = std::string(kHandoffRepository) + ":";
  std::ranges::copy_if(image.tags, std::back_inserter(out), [&](const std::string& tag) {
    return tag.starts_with(beginning) || tag.starts_with("localhost/" + beginning);
  });
  return out;
}

std::string handoff_network(const HandoffTarget& target) {
  return target.of_podman ? fmt::format("ns:/proc/{}/ns/net", target.pid) : "container:" + target.id;
}

HandoffUser handoff_user(const HandoffTarget& target) {
  const std::string root = "0:0";
  if (!target.root) return {"", root};
  if (*target.root == 0) return {"host", root};  // whatever the engine's default is
  // Docker has one other user namespace, which is then its default.
  return target.of_podman ? HandoffUser{"host", fmt::format("{0}:{0}", *target.root)} : HandoffUser{"", root};
}

engine::ContainerSpec handoff_spec(const HandoffJob& job) {
  engine::ContainerSpec spec{
      .name = job.name,
      .image = job.image,
      .entrypoint = std::vector<std::string>{kProgram},
      .command = std::vector<std::string>{kSocketInside, job.hosts_path.empty() ? kNoHosts : kHostsInside,
                                          job.address.to_string(), job.with_map ? job.lease : kNoMap},
      .environment = {fmt::format("{}={}", kTokenVariable, job.token)},
      .labels = exposer::family_labels(),
      .network = job.network,
      .cap_drop = {"ALL"},
      .no_new_privileges = true,
      .auto_remove = true,
      .user = job.user.user,
      .binds = {{job.socket, kSocketInside}},
      .read_only_root = true,
      .no_log = true,
      .no_selinux_label = job.selinux,
      .userns = job.user.userns,
      .memory = kHandoffMemory,
      .most_processes = kMostProcesses};
  for (const auto& door : job.ports)
    spec.command->push_back(fmt::format("{}{}", door.port, door.type == SOCK_DGRAM ? kUdpSuffix : ""));
  // Docker lets every process of a container bind any port, Podman does not.
  if (std::ranges::any_of(job.ports, [](const Door& door) { return door.port < 1024; }))
    spec.cap_add = {"NET_BIND_SERVICE"};
  if (job.with_map) spec.cap_add.emplace_back("NET_ADMIN");
  if (!job.hosts_path.empty()) spec.binds.push_back({job.hosts_path, kHostsInside});
  spec.labels.insert({{exposer::kVersionLabel, version()},
                      {exposer::kTestRunLabel, job.test_run_id},
                      {exposer::kLeaseLabel, job.lease},
                      {exposer::kCreationLabel, job.lease},
                      {exposer::kOwnerLabel, job.owner}});
  return spec;
}

}  // namespace hostnet::relay
