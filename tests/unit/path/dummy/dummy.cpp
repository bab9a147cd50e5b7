// A lease is a number here, with the life of every lease.
#include "unit/path/dummy/dummy.hpp"

#include "lease/exposure_impl.hpp"
#include "lease/lease_life.hpp"
#include "lease/notifier.hpp"

#include <fmt/format.h>

#include <memory>
#include <mutex>
#include <utility>

using namespace hostnet;

namespace test {
namespace {

using exposer::AheadLease;
using exposer::AheadRequest;
using exposer::DryRun;
using exposer::RecordView;

constexpr const char* kDummyAddress = "192.0.2.7";

std::mutex& world_mutex() {
  static std::mutex mutex;
  return mutex;
}

class DummyLease : public Exposure::Impl {
 public:
  DummyLease(std::vector<HostPort> wanted, std::shared_ptr<exposer::Notifier> notifier)
      : notifier_(std::move(notifier)) {
    const std::scoped_lock lock(world_mutex());
    id = fmt::format("{:08x}", ++dummy_world().opened);
    via = kDummyPath.name;
    ports = std::move(wanted);
    gateway = kDummyAddress;
    interface = "hatch0";
  }
  ~DummyLease() override { release(); }

  void release() override { end(ExposureState::released, "as asked for"); }
  bool end(ExposureState as, const std::string& reason) {
    if (!life_.begin_end(as, reason)) {
      life_.wait_over();
      return false;
    }
    const exposer::LeaseLife::Ending ending(life_);
    const std::scoped_lock lock(world_mutex());
    ++dummy_world().taken_down;
    return true;
  }
  void lose(const std::string& reason) {
    if (end(ExposureState::failed, reason)) notifier_->tell(id, ExposureState::failed, reason);
  }
  [[nodiscard]] ExposureState state() const override { return life_.state(); }
  [[nodiscard]] std::string reason() const override { return life_.reason(); }

 private:
  exposer::LeaseLife life_;
  std::shared_ptr<exposer::Notifier> notifier_;
};

Probe probe_dummy(const std::string&) {
  const auto& fault = dummy_world().unusable;
  return {.usable = !fault, .reasons = fault ? std::vector{*fault} : std::vector<std::string>{}};
}

class DummyExposer : public Exposer {
 public:
  explicit DummyExposer(const ExposerOptions& options)
      : notifier_(std::make_shared<exposer::Notifier>(options.on_state)) {}
  [[nodiscard]] Path path() const noexcept override { return kDummyPath.path; }
  [[nodiscard]] Probe probe() override { return probe_dummy({}); }
  std::vector<Exposure> expose_all(std::span<const ExposeRequest> requests) override {
    if (dummy_world().refusal) throw Error(*dummy_world().refusal);
    std::vector<Exposure> out;
    for (const auto& request : requests)
      out.emplace_back(std::make_shared<DummyLease>(request.ports, notifier_));
    return out;
  }

 private:
  std::shared_ptr<exposer::Notifier> notifier_;
};

std::unique_ptr<Exposer> make_dummy(const ExposerOptions& options) {
  return std::make_unique<DummyExposer>(options);
}

class DummyAhead : public AheadLease {
 public:
  DummyAhead(const ExposerOptions& options, const AheadRequest& request) {
    gateway = kDummyAddress;
    exposure = make_dummy(options)->expose(Target::network(request.network), request.ports);
  }
  void started(const engine::Container&, Deadline) override {}
};

std::unique_ptr<AheadLease> dummy_ahead(const ExposerOptions& options, const AheadRequest& request,
                                        Deadline) {
  return std::make_unique<DummyAhead>(options, request);
}

DryRun dummy_dry_run(const ExposeRequest& request, const ExposerOptions&) {
  return {.lines = {"# open a hatch for " + request.target.to_string()}, .object = {{"via", "dummy"}}};
}

void clear_away_dummy(const state::TunnelStore& store, const state::TunnelRecord& record, Deadline) {
  dummy_world().cleared.push_back(record.id);
  store.remove(record.id);
}

RecordView describe_dummy(const state::TunnelRecord& record) {
  return {.kind = "hatch",
          .id = "7",
          .way = "passage",
          .state = "open as " + record.id,
          .members = {{"hatch", json::Item(7)}}};
}

}  // namespace

DummyWorld& dummy_world() {
  static DummyWorld world;
  return world;
}

void lose(const Exposure& exposure, const std::string& reason) {
  dynamic_cast<DummyLease&>(*BehindExposure::of(exposure)).lose(reason);
}

const exposer::PathDriver kDummyPath{
    .path = Path::automatic,
    .name = "dummy",
    .serves_bridges = false,
    .serves_networks = true,
    .needs_no_network = false,
    .by_sidecar = false,
    .probed_late = false,
    .unusable = Errc::failure,
    .hint = "make the dummy usable",
    .probe = probe_dummy,
    .make = make_dummy,
    .ahead = dummy_ahead,
    .leaves_to_another = [](const Error& error) { return error.code() == Errc::no_path; },
    .port_fault =
        [](std::uint16_t port) {
          return port == 7 ? std::string_view("7 is the hatch") : std::string_view();
        },
    .rules_of = nullptr,
    .dry_run = dummy_dry_run,
    .dry_run_ahead = nullptr,
    .clear_away = clear_away_dummy,
    .describe = describe_dummy,
};

exposer::PathDriver other_path(const char* name) {
  auto driver = kDummyPath;
  driver.name = name;
  driver.serves_bridges = true;
  driver.probe = [](const std::string&) { return Probe{.usable = true, .reasons = {}}; };
  driver.make = [](const ExposerOptions& options) -> std::unique_ptr<Exposer> {
    class Willing : public DummyExposer {
     public:
      using DummyExposer::DummyExposer;
      std::vector<Exposure> expose_all(std::span<const ExposeRequest> requests) override {
        const auto refusal = std::exchange(dummy_world().refusal, std::nullopt);
        auto exposures = DummyExposer::expose_all(requests);
        dummy_world().refusal = refusal;
        return exposures;
      }
    };
    return std::make_unique<Willing>(options);
  };
  driver.dry_run = [](const ExposeRequest&, const ExposerOptions&) {
    return DryRun{.lines = {"# rules"}, .object = {}};
  };
  return driver;
}

}  // namespace test
