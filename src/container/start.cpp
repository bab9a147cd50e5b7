// The stages of start(), all under one deadline: request.startup_timeout, 60 s by default.
//
//   stage               act                                                    skipped if
//   check               validates the request, chooses paths, packs files
//   engine              finds the engine's address; Podman or Docker
//   name                looks whether the name is free                         no name, or with_reuse()
//   image               pulls by the pull policy                               image is here, not `always`
//   reuse               finds a running container with the same hash; if       no with_reuse()
//                       there is one, continues at "wait for"
//   network             creates a user network, or counts one more use         mode or default network
//   host ports by PATH  makes the lease ahead of the container                 no host ports
//   create, copy        creates the container; unpacks the files               (copy) no files
//   init, host ports    engine's init, then lease->initialised()               no wants_init
//   start               starts the container
//   inspect             reads its name                                         host ports
//   host ports          reads its state, lease->started()                      no host ports, or (started) it has ended
//   wait for CONDITION  each condition, in order
//
// Errors carry the stage's name; after "create" also the container's last output. On failure,
// ~Container::Impl undoes the stages so far. "network" and the later stages run once per path: if the path's
// leaves_to_another() accepts the error, the next path runs. An expired deadline fails the next stage with
// Errc::timed_out.
//
// guard_test_run() runs before "network", outside the deadline, with its own limits (container/reaper.hpp).
// One thread, no locks.
#include "container/start.hpp"

#include "container/impl.hpp"
#include "container/plan.hpp"
#include "container/reaper.hpp"
#include "container/reuse.hpp"
#include "container/wait.hpp"
#include "core/file.hpp"
#include "core/log.hpp"
#include "core/strings.hpp"
#include "core/tar.hpp"
#include "hostnet/error.hpp"
#include "path/select.hpp"
#include "path/sidecar/labels.hpp"

#include <fmt/format.h>

namespace hostnet::container {
namespace {

class Start {
 public:
  explicit Start(const ContainerRequest& request)
      : request_(request), deadline_(Deadline::after(request.startup_timeout)) {}

 private:
  template <class Act>
  auto stage(const std::string& name, Act act) {
    const auto begin = Deadline::Clock::now();
    try {
      if (deadline_.expired()) throw Error(Errc::timed_out, "the startup timeout has passed");
      if constexpr (std::is_void_v<decltype(act())>) {
        act();
        log_time(name, begin);
      } else {
        auto result = act();
        log_time(name, begin);
        return result;
      }
    } catch (const Error& error) {
      throw error.in_context(name);
    }
  }

  static void log_time(const std::string& name, Deadline::Clock::time_point begin) {
    const std::chrono::duration<double, std::milli> took = Deadline::Clock::now() - begin;
    log::debug("start: {} {:.1f} ms", name, took.count());
  }

 public:
  std::unique_ptr<Container::Impl> run() {
    try {
      auto paths = stage("check", [&] { return check_request(); });
      address_ = stage("engine", [&] { return engine::Address::find(request_.exposer.engine); });
      client_.emplace(address_);
      containers_.emplace(*client_);
      is_podman_ = stage("engine", [&] { return client_->is_podman(deadline_); });
      stage("name", [&] { check_name_is_free(); });
      stage("image", [&] { provide_image(); });
      if (request_.reuse)
        if (auto found = stage("reuse", [&] { return find_again(); })) return found;
      guard_test_run(address_, request_.exposer.runtime_dir);
      if (paths.empty()) return attempt(nullptr);
      for (std::size_t i = 0; i + 1 < paths.size(); ++i) {
        try {
          return attempt(paths[i]);
        } catch (const Error& error) {
          if (!paths[i]->leaves_to_another(error)) throw;
          exposer::tell_instead({error.what()}, true, *paths[i + 1]);
        }
      }
      return attempt(paths.back());
    } catch (const Error& error) {
      throw error.in_context(fmt::format("start of {}", request_.image));
    }
  }

 private:
  // Checks everything that needs no engine, before the first change. Returns the paths for host ports.
  exposer::PathOrder check_request() {
    exposer::PathOrder paths;
    auto wanted = exposer::order_of(request_.exposer);
    if (is_without_network(request_.network))
      std::erase_if(wanted, [](const auto* path) { return !path->needs_no_network; });
    std::optional<Error> no_path;
    if (!request_.host_ports.empty()) {
      try {
        paths = exposer::paths_to_try(exposer::paths(), wanted, request_.exposer);
      } catch (const Error& error) {
        no_path = error;  // thrown later: faults of the request itself come first
      }
    }
    check(request_);
    if (no_path) throw Error(*no_path);
    std::vector<TarFile> files;
    for (const auto& copy : request_.copies) {
      const auto* const text = std::get_if<std::string>(&copy.content);
      files.push_back(
          {copy.target, text != nullptr ? *text : read_file(std::get<1>(copy.content)), copy.mode});
    }
    if (!files.empty()) archive_ = make_tar(files);
    return paths;
  }

  void provide_image() {
    const bool always = request_.pull_policy == PullPolicy::always;
    if (!always && containers_->has_image(request_.image, deadline_)) return;
    if (request_.pull_policy == PullPolicy::never)
      throw Error(Errc::not_found,
                  fmt::format("image {} is not here, and the pull policy forbids a pull", request_.image),
                  "load it into the engine, or allow a pull: with_pull_policy()");
    try {
      containers_->pull(
          request_.image,
          [this](std::string_view line) {
            log::info("{}", line);
            if (request_.pull_progress) request_.pull_progress(line);
          },
          deadline_);
    } catch (const Error& error) {
      if (error.code() == Errc::timed_out || error.code() == Errc::invalid_argument) throw;
      throw Error(Errc::not_found, fmt::format("image {}", error.what()), error.hint());
    }
  }

  // The engine's own refusal would come after a pull, which takes minutes, and after a sidecar.
  void check_name_is_free() {
    if (request_.name.empty() || request_.reuse) return;
    try {
      static_cast<void>(client_->container(request_.name, deadline_));
    } catch (const Error& error) {
      if (error.code() == Errc::not_found) return;
      throw;
    }
    throw Error(Errc::conflict, fmt::format("there is a container {} already", quote(request_.name)),
                fmt::format("remove it (docker rm -f {}), or choose another name: with_container_name()",
                            shell_word(request_.name)));
  }

  Surroundings reuse_surroundings(const std::string& network) const {
    Surroundings around;
    around.network = network;
    around.labels = exposer::family_labels();
    return around;
  }

  std::unique_ptr<Container::Impl> find_again() {
    const auto network = network_name(request_.network, is_podman_, false);
    reuse_hash_ = hash_of(spec_of(request_, reuse_surroundings(network)));
    const auto found = find_reusable(*containers_, reuse_hash_, deadline_);
    if (!found) return nullptr;
    auto made = new_impl();
    made->id = found->id;
    made->name = found->name;
    wait_until_ready(*made);
    return made;
  }

  std::unique_ptr<Container::Impl> new_impl() const {
    auto made = std::make_unique<Container::Impl>(address_);
    made->keep = request_.reuse;
    made->exposer = request_.exposer;
    made->exposer.engine = address_.text();
    made->name = request_.name.empty() ? request_.image : request_.name;
    return made;
  }

  std::unique_ptr<Container::Impl> attempt(const exposer::PathDriver* path) {
    auto made = new_impl();
    made->keep = false;  // until all stages succeed, so that a failure removes it
    try {
      const auto network = network_name(request_.network, is_podman_, !request_.host_ports.empty());
      if (is_user_network(network, is_podman_))
        stage("network", [&] { made->network = std::make_unique<NetworkUse>(address_, network, deadline_); });
      if (path != nullptr)
        stage(fmt::format("host ports by {}", path->name), [&] {
          made->path = path;
          made->lease = path->ahead(made->exposer, {network, request_.host_ports}, deadline_);
        });
      create(*made, network);
      launch(*made);
      wait_until_ready(*made);
    } catch (const Error& error) {
      const auto words = made->last_words();
      if (words.empty()) throw;
      throw Error(error.code(), fmt::format("{}; the container's last words: {}", error.what(), words),
                  error.hint(), error.sys_errno());
    }
    made->keep = request_.reuse;
    return made;
  }

  void create(Container::Impl& made, const std::string& network) {
    auto around = request_.reuse ? reuse_surroundings(network) : Surroundings{};
    if (request_.reuse) {
      around.labels[exposer::kHashLabel] = reuse_hash_;
    } else {
      around.network = network;
      around.labels = exposer::test_run_labels();
    }
    if (made.lease) {
      around.alias_address = made.lease->gateway;
      if (made.lease->mac) around.mac = made.lease->mac->to_string();
    }
    stage("create", [&] { made.id = containers_->create(spec_of(request_, around), deadline_); });
    if (!archive_.empty()) stage("copy", [&] { containers_->unpack(made.id, "/", archive_, deadline_); });
  }

  void launch(Container::Impl& made) {
    auto* const lease = made.lease.get();
    if (lease != nullptr && lease->wants_init) {
      stage("init", [&] { containers_->init(made.id, deadline_); });
      stage("host ports", [&] { lease->initialised(client_->container(made.id, deadline_), deadline_); });
    }
    stage("start", [&] { containers_->start(made.id, deadline_); });
    if (lease == nullptr)
      made.name = stage("inspect", [&] { return client_->container(made.id, deadline_).name; });
    else
      made.name = stage("host ports",
                        [&] { return exposer::tell_started(*lease, *client_, made.id, deadline_).name; });
  }

  void wait_until_ready(const Container::Impl& made) {
    for (const auto& condition : request_.wait_for)
      stage(fmt::format("wait for {}", condition.to_string()), [&] {
        wait_for({address_, made.id}, condition, deadline_);
      });
  }

  const ContainerRequest& request_;
  Deadline deadline_;
  engine::Address address_;
  std::optional<engine::Client> client_;
  std::optional<engine::Containers> containers_;
  bool is_podman_ = false;
  std::string archive_;
  std::string reuse_hash_;
};

}  // namespace

std::unique_ptr<Container::Impl> start(const ContainerRequest& request) { return Start(request).run(); }

}  // namespace hostnet::container
