// The steps of a hand-off.
#include "path/relay/handoff.hpp"

#include "core/file.hpp"
#include "core/libexec.hpp"
#include "core/log.hpp"
#include "core/random.hpp"
#include "core/strings.hpp"
#include "engine/alias.hpp"
#include "engine/containers.hpp"
#include "engine/images.hpp"
#include "hostnet/error.hpp"
#include "lease/record_socket.hpp"
#include "path/relay/container_net.hpp"
#include "path/relay/handoff_message.hpp"
#include "path/relay/handoff_plan.hpp"
#include "path/sidecar/labels.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <thread>

namespace hostnet::relay {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kLongestHandoff{30};
constexpr seconds kRemoval{10};
constexpr milliseconds kRemovalPoll{5};
constexpr milliseconds kLongestRemovalPoll{100};

std::string program_text() {
  const auto path = libexec_program("tc-hostnet-handoff", "TC_HOSTNET_HANDOFF");
  try {
    return read_file(path);
  } catch (const Error& error) {
    throw Error(Errc::no_path, fmt::format("the hand-off's program is missing: {}", error.what()),
                "reinstall tc-hostnet, or name it in TC_HOSTNET_HANDOFF", error.sys_errno());
  }
}

// The id of the image with the program; loads it if it is not there, or if its tag leads to another.
std::string provide_image(engine::Client& client, const HandoffImage& wanted, Deadline deadline) {
  engine::Images images(client);
  const auto id = [&]() -> std::string {
    const auto found = images.find(wanted.tag, deadline);
    return found && holds_program(*found, wanted) ? found->id : "";
  };
  if (auto found = id(); !found.empty()) return found;
  std::string said;
  try {
    said = images.load(wanted.archive, deadline);
  } catch (const Error& error) {
    throw error.in_context("hand-off image");
  }
  if (auto found = id(); !found.empty()) return found;
  throw Error(Errc::engine_error,
              fmt::format("hand-off image: the engine did not load {}: {}", wanted.tag, said),
              "take the ssh path: --via ssh");
}

// Who root of the process's user namespace is on this machine.
std::optional<uid_t> root_of(pid_t pid) {
  const auto map = try_read_file(fmt::format("/proc/{}/uid_map", pid)).value_or("");
  for (const auto line : split(map, '\n')) {
    std::vector<std::string_view> fields;
    for (const auto field : split(line, ' '))
      if (!field.empty()) fields.push_back(field);
    if (fields.size() == 3 && fields[0] == "0")
      if (const auto outside = parse_number(fields[1], UINT32_MAX)) return static_cast<uid_t>(*outside);
  }
  return std::nullopt;
}

// One that is only initialised has a process, too.
bool has_stopped(engine::Client& client, const engine::Container& target, Deadline deadline) {
  const auto now = client.container(target.id, deadline);
  return !now.running && now.pid == 0;
}

// The container, from its creation until the engine has removed it.
class OneShot {
 public:
  OneShot(engine::Client& client, std::string id) : client_(client), id_(std::move(id)) {}
  OneShot(const OneShot&) = delete;
  OneShot& operator=(const OneShot&) = delete;
  ~OneShot() {
    if (is_gone_) return;
    try {
      engine::Containers(client_).remove(id_, Deadline::after(kRemoval));
    } catch (const std::exception& error) {
      log::error("the hand-off's container {}: {}", id_.substr(0, 12), error.what());
    }
  }

  void start(const engine::Container& target, Deadline deadline) {
    try {
      engine::Containers(client_).start(id_, deadline);
    } catch (const Error& error) {
      if (has_stopped(client_, target, deadline))
        throw Error(Errc::not_found, fmt::format("container {} has stopped", target.name));
      throw error.in_context("hand-off start");
    }
  }

  [[nodiscard]] bool has_ended(Deadline deadline) {
    try {
      return !client_.container(id_, deadline).running;
    } catch (const Error& error) {
      if (error.code() != Errc::not_found) throw;
      return is_gone_ = true;
    }
  }

  void wait_gone(Deadline deadline) {
    for (auto pause = kRemovalPoll; !is_gone_ && !deadline.expired();
         pause = std::min(pause * 2, kLongestRemovalPoll)) {
      std::this_thread::sleep_for(pause);
      [[maybe_unused]] const bool ended = has_ended(deadline);
    }
  }

 private:
  engine::Client& client_;
  std::string id_;
  bool is_gone_ = false;
};

// The engine looks the path up with its own eyes.
bool is_about_missing_mount(const Error& error) {
  const std::string_view words = error.what();
  return words.find("bind source path does not exist") != std::string_view::npos ||
         words.find("no such file or directory") != std::string_view::npos;
}

std::string create(engine::Client& client, const engine::ContainerSpec& spec, const engine::Container& target,
                   Deadline deadline) {
  try {
    return engine::Containers(client).create(spec, deadline);
  } catch (const Error& error) {
    if (is_about_missing_mount(error))
      throw Error(
          Errc::no_path,
          fmt::format("the hand-off needs an engine that sees this machine's files, and the one at {} "
                      "does not: {}",
                      client.address().text(), error.what()),
          "take the ssh path: --via ssh");
    if (error.code() == Errc::conflict && has_stopped(client, target, deadline))
      throw Error(Errc::not_found, fmt::format("container {} has stopped", target.name));
    throw error.in_context("hand-off create");
  }
}

// One container for the job, from its creation to its end.
HandedOver run_job(engine::Client& client, const HandoffJob& job, const HandoffImage& image,
                   const engine::Container& target, int listener, uid_t root, Deadline limit) {
  auto spec = handoff_spec(job);
  std::string id;
  try {
    id = create(client, spec, target, limit);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found || has_stopped(client, target, limit)) throw;
    spec.image = provide_image(client, image, limit);  // removed since
    id = create(client, spec, target, limit);
  }
  OneShot one_shot(client, id);
  one_shot.start(target, limit);
  auto out = receive_handoff(listener,
                             {.container = target.name,
                              .token = job.token,
                              .root = root,
                              .hosts = !job.hosts_path.empty(),
                              .map = job.with_map,
                              .address = job.address,
                              .ports = job.ports},
                             limit, [&] { return one_shot.has_ended(limit); });
  one_shot.wait_gone(limit);
  return out;
}

}  // namespace

std::string handoff_name(const std::string& lease) { return "tc-hostnet-" + lease; }

HandedOver hand_off(engine::Client& client, const state::TunnelStore& store, const engine::Container& target,
                    const HandoffRequest& request, Deadline deadline) {
  if (request.hosts && (target.hosts_mounted || target.hosts_path.empty()))
    throw Error(Errc::conflict,
                fmt::format("the hosts file of container {} is not one that the engine made", target.name),
                "add --no-alias, and use the address instead of the name in the container");
  const auto wanted = handoff_image(program_text());
  HandoffJob job{.name = request.name,
                 .lease = request.lease,
                 .image = provide_image(client, wanted, deadline),
                 .network = "none",
                 .socket = {},
                 .hosts_path = request.hosts ? target.hosts_path : "",
                 .with_map = !request.ports.empty(),
                 .address = kInside,
                 .ports = request.ports,
                 .token = random_hex(kTokenDigits),
                 .test_run_id = exposer::test_run_id(),
                 .owner = exposer::owner_label()};
  const HandoffTarget where{target.id, target.pid, root_of(target.pid), client.is_podman(deadline)};
  if (!request.ports.empty()) job.network = handoff_network(where);
  job.user = handoff_user(where);
  job.selinux = ::access("/sys/fs/selinux/enforce", F_OK) == 0 && client.has_selinux(deadline);
  const auto limit = Deadline::after(std::min<milliseconds>(kLongestHandoff, deadline.remaining()));
  const state::RecordSocket socket(store, request.name, limit);
  job.socket = socket.path();
  const auto run = [&] {
    return run_job(client, job, wanted, target, socket.listener(), where.root.value_or(0), limit);
  };
  try {
    return run();
  } catch (const Error& error) {
    // An engine may refuse the capability: by an authorisation plugin, or as one in a container without it.
    if (!job.with_map || error.code() != Errc::engine_error) throw;
    log::debug("hand-off: again without CAP_NET_ADMIN: {}", error.what());
  }
  job.with_map = false;
  auto out = run();
  out.doors.map_error = EPERM;
  return out;
}

void remove_alias_by_handoff(engine::Client& client, const state::TunnelStore& store,
                             const std::string& target, const std::string& lease, Deadline deadline) {
  try {
    const auto found = client.container(target, deadline);
    if (!found.running) return;
    // Two commands may be at it at once.
    const auto name = fmt::format("{}-{}", handoff_name(lease), random_hex(8));
    const auto handed =
        hand_off(client, store, found, {.lease = lease, .name = name, .hosts = true, .ports = {}}, deadline);
    engine::remove_alias_from(handed.hosts.get(), lease);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found)
      throw error.in_context(
          fmt::format("the hosts file of container {} is not tidied", target.substr(0, 12)));
  }
}

std::vector<std::string> handoff_image_tags(engine::Client& client, Deadline deadline) {
  std::vector<std::string> out;
  for (const auto& image : engine::Images(client).list({kHandoffLabel}, deadline))
    for (auto& tag : handoff_tags(image)) out.push_back(std::move(tag));
  return out;
}

}  // namespace hostnet::relay
