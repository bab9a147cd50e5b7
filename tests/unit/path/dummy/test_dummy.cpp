// What one row gives a path: selection, fallback, errors, leases ahead, dry run, records.
#include "hostnet/error.hpp"
#include "lease/exposure_impl.hpp"
#include "path/clear_away.hpp"
#include "path/select.hpp"
#include "support/expect_error.hpp"
#include "support/log_count.hpp"
#include "support/temp_dir.hpp"
#include "unit/path/dummy/dummy.hpp"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

using namespace hostnet;
using namespace hostnet::exposer;
using namespace std::chrono_literals;
using test::dummy_world, test::kDummyPath;

namespace {

// The dummy before another path, and after it.
class Tables {
 public:
  Tables() { dummy_world() = {}; }
  const PathDriver other = test::other_path("other");
  const std::array<const PathDriver*, 2> dummy_first{&kDummyPath, &other};
  const std::array<const PathDriver*, 2> dummy_last{&other, &kDummyPath};
};

const ExposeRequest kDummyRequest{.target = Target::network("web"), .ports = {HostPort::same(8080)}};

bool mentions(const Error& error, std::string_view words) {
  return std::string_view(error.what()).find(words) != std::string_view::npos;
}

bool knows_dummy(std::string_view path) noexcept { return path == "dummy" || path == "other"; }

state::TunnelRecord dead_record(const char* id, const char* via) {
  state::TunnelRecord record{.via = via, .id = id, .target = "network web"};
  record.owner.token = "00ff";
  return record;
}

}  // namespace

TEST_CASE("a row is chosen in its order, by name, or passed over with its reason") {
  const Tables tables;
  CHECK(choose({}, probe_paths(tables.dummy_first, "")).driver == &kDummyPath);
  CHECK(choose({}, probe_paths(tables.dummy_last, "")).driver == &tables.other);
  CHECK(find_path(tables.dummy_last, "dummy") == &kDummyPath);
  CHECK(choose({&kDummyPath}, probe_paths(tables.dummy_last, "", {&kDummyPath})).reasons ==
        std::vector<std::string>{"dummy: as asked for"});
  dummy_world().unusable = "there is no hatch";
  CHECK(choose({}, probe_paths(tables.dummy_first, "")).reasons ==
        std::vector<std::string>{"dummy: there is no hatch", "other: the first that is usable here"});
}

TEST_CASE("its lease is held, ends once for all who ask, and is told when it is lost") {
  const Tables tables;
  std::promise<std::string> told;
  ExposerOptions options;
  options.on_state = [&](const std::string& lease, ExposureState state, const std::string& reason) {
    told.set_value(lease + " " + to_string(state) + " " + reason);
  };
  const auto exposer = make_exposer_by(tables.dummy_first, {}, options);
  auto exposure = exposer->expose(kDummyRequest);
  CHECK(exposure.state() == ExposureState::active);
  CHECK(exposure.ports() == kDummyRequest.ports);
  CHECK(std::string_view(BehindExposure::via(exposure)) == "dummy");
  {
    std::vector<std::jthread> all;
    for (int i = 0; i < 4; ++i) all.emplace_back([&] { exposure.release(); });
  }
  CHECK(exposure.state() == ExposureState::released);
  CHECK(dummy_world().taken_down == 1);
  const auto second = exposer->expose(kDummyRequest);
  test::lose(second, "the hatch has shut");
  auto words = told.get_future();
  REQUIRE(words.wait_for(10s) == std::future_status::ready);
  CHECK(words.get() == second.id() + " failed the hatch has shut");
  CHECK(dummy_world().taken_down == 2);
}

TEST_CASE("automatic falls over from it and to it, and names both") {
  const Tables tables;
  const test::LogCount warnings("dummy: there is no way; going by other instead");
  dummy_world().refusal = Error(Errc::no_path, "there is no way");
  CHECK(make_exposer_by(tables.dummy_first, {}, {})->expose(kDummyRequest).state() == ExposureState::active);
  CHECK(warnings.times() == 1);
  // Any other error is final.
  dummy_world().refusal = Error(Errc::conflict, "it is taken");
  CHECK(test::error_of([&] { make_exposer_by(tables.dummy_first, {}, {})->expose(kDummyRequest); }).code() ==
        Errc::conflict);
  CHECK(test::error_of([&] {
          make_exposer_by(tables.dummy_last, {&kDummyPath}, {})->expose(kDummyRequest);
        }).code() == Errc::conflict);

  auto shut = tables.other;
  shut.name = "shut";
  shut.probe = [](const std::string&) { return Probe{.usable = false, .reasons = {"it is shut"}}; };
  const std::array<const PathDriver*, 2> to_dummy{&shut, &kDummyPath};
  dummy_world().refusal.reset();
  CHECK(make_exposer_by(to_dummy, {}, {})->expose(kDummyRequest).gateway() == "192.0.2.7");
}

TEST_CASE("if the last path serves it not either, both reasons are told, with the hint of the one before") {
  auto last = test::other_path("last");
  last.serves_networks = false;
  last.needs_no_network = true;
  last.make = [](const ExposerOptions& options) {
    class Unwilling : public Exposer {
     public:
      explicit Unwilling(std::unique_ptr<Exposer> dummy) : dummy_(std::move(dummy)) {}
      [[nodiscard]] Path path() const noexcept override { return dummy_->path(); }
      [[nodiscard]] Probe probe() override { return dummy_->probe(); }
      std::vector<Exposure> expose_all(std::span<const ExposeRequest>) override {
        throw Error(Errc::no_path, "there is no door", "make a door");
      }

     private:
      std::unique_ptr<Exposer> dummy_;
    };
    return std::unique_ptr<Exposer>(std::make_unique<Unwilling>(kDummyPath.make(options)));
  };
  const Tables tables;
  const std::array<const PathDriver*, 2> table{&kDummyPath, &last};
  dummy_world().refusal = Error(Errc::no_path, "there is no way", "make a way");
  auto request = kDummyRequest;
  const auto of_network = test::error_of([&] { make_exposer_by(table, {}, {})->expose(request); });
  CHECK(std::string_view(of_network.what()) == "there is no way");  // the last one is no path for it at all
  request.target = Target::container("api");
  const auto of_both = test::error_of([&] { make_exposer_by(table, {}, {})->expose(request); });
  CHECK(std::string_view(of_both.what()) == "there is no way; last: there is no door");
  CHECK(of_both.hint() == "make a way");
  CHECK(of_both.code() == Errc::no_path);
}

TEST_CASE("an order that is asked for is kept to, and if none serves, every reason is told") {
  const Tables tables;
  const PathOrder wanted{&tables.other, &kDummyPath};
  CHECK(make_exposer_by(tables.dummy_first, wanted, {})->expose(kDummyRequest).state() ==
        ExposureState::active);
  CHECK(dry_run(tables.dummy_first, wanted, kDummyRequest, {}).lines.front() == "# rules");
  CHECK(paths_to_try(tables.dummy_first, wanted, {}) == wanted);
  // One that is for single containers is passed over for a network.
  auto narrow = test::other_path("narrow");
  narrow.serves_networks = narrow.serves_bridges = false;
  const test::LogCount passed(
      "narrow: it serves single containers of an engine, not network web; going by dummy");
  CHECK(make_exposer_by(tables.dummy_first, {&narrow, &kDummyPath}, {})->expose(kDummyRequest).gateway() ==
        "192.0.2.7");
  CHECK(passed.times() == 1);
  const ExposeRequest bridge{.target = Target::bridge("br0"), .ports = kDummyRequest.ports};
  const auto none = test::error_of([&] {
    make_exposer_by(tables.dummy_first, {&narrow, &kDummyPath}, {})->expose(bridge);
  });
  CHECK(mentions(none, "no usable path: narrow: it serves single containers of an engine, not bridge br0"));
  CHECK(mentions(none, "dummy: it serves containers and networks of an engine, not bridge br0"));
  CHECK(none.hint() == "leave the choice to tc-hostnet: --via auto");
  // Both try and fail: the first one's code and advice.
  dummy_world().refusal = Error(Errc::no_path, "there is no way", "make a way");
  auto again = kDummyPath;
  again.name = "again";
  const auto both = test::error_of([&] {
    make_exposer_by(tables.dummy_first, {&kDummyPath, &again}, {})->expose(kDummyRequest);
  });
  CHECK(std::string_view(both.what()) == "no usable path: dummy: there is no way and again: there is no way");
  CHECK(both.hint() == "make a way");
}

TEST_CASE(
    "a port that one path refuses is refused in the automatic choice, and allowed where another is named") {
  const Tables tables;
  dummy_world().refusal.reset();
  auto request = kDummyRequest;
  request.ports = {HostPort{8088, 7}};
  auto open = kDummyPath;
  open.name = "open";
  open.port_fault = [](std::uint16_t) { return std::string_view(); };
  const std::array<const PathDriver*, 2> table{&open, &kDummyPath};
  for (const auto& error : {test::error_of([&] { make_exposer_by(table, {}, {})->expose(request); }),
                            test::error_of([&] { dry_run(table, {}, request, {}); })}) {
    CHECK(error.code() == Errc::invalid_argument);
    CHECK(std::string_view(error.what()) == "8088:7/tcp: 7 is the hatch");
  }
  CHECK(make_exposer_by(table, {&open}, {})->expose(request).state() == ExposureState::active);
  CHECK(port_fault_of(table, request.ports.front(), request.target) == "7 is the hatch");
  CHECK(port_fault_of(table, {8088, 7, Protocol::udp}, request.target).empty());
  CHECK(port_fault_of(table, request.ports.front(), Target::bridge("br0")).empty());  // dummy serves none
  request.ports = {HostPort{7, 8088}};
  CHECK(make_exposer_by(table, {}, {})->expose(request).state() == ExposureState::active);
}

TEST_CASE("a path that asks another process is probed unless one before it makes the same rules") {
  const Tables tables;
  static int probed = 0;
  probed = 0;
  auto late = test::other_path("late");
  late.probed_late = true;
  late.rules_of = "other";
  late.probe = [](const std::string&) {
    ++probed;
    return Probe{.usable = true, .reasons = {}};
  };
  const std::array<const PathDriver*, 2> table{&kDummyPath, &late};
  CHECK(probe_paths(table, "").size() == 1);
  CHECK(probed == 0);
  CHECK(probe_paths(table, "", {&kDummyPath, &late}).size() == 2);
  CHECK(probed == 1);
  CHECK(probe_paths(table, "", {&tables.other, &late}).size() == 1);
  CHECK(probe_paths(table, "", {&kDummyPath}).size() == 1);
  CHECK(probed == 1);
}

TEST_CASE("a request for an unusable path gets the path's error and hint") {
  const Tables tables;
  dummy_world().unusable = "there is no hatch";
  for (const auto& error : {test::error_of([&] { make_exposer_by(tables.dummy_first, {&kDummyPath}, {}); }),
                            test::error_of([&] { paths_to_try(tables.dummy_first, {&kDummyPath}, {}); })}) {
    CHECK(error.code() == Errc::failure);
    CHECK(error.hint() == "make the dummy usable");
    CHECK(mentions(error, "no usable path: dummy: there is no hatch"));
  }
  const std::array<const PathDriver*, 1> alone{&kDummyPath};
  CHECK(test::error_of([&] { make_exposer_by(alone, {}, {}); }).code() == Errc::no_path);
}

TEST_CASE("a target that it does not serve is said with its name") {
  const Tables tables;
  const std::array<const PathDriver*, 2> twice{&kDummyPath, &kDummyPath};
  const auto exposer = make_exposer_by(twice, {}, {});
  CHECK(mentions(test::error_of([&] { exposer->expose(Target::bridge("br0"), {HostPort::same(80)}); }),
                 "dummy: it serves containers and networks of an engine, not bridge br0"));
}

TEST_CASE("a lease for a container that has not started goes by it") {
  const Tables tables;
  const auto ways = paths_to_try(tables.dummy_first, {}, {});
  REQUIRE(ways == PathOrder{&kDummyPath, &tables.other});
  {
    const auto lease = ways.front()->ahead({}, {"web", {HostPort::same(8080)}}, Deadline::after(1s));
    CHECK(lease->gateway == "192.0.2.7");
    CHECK(lease->exposure.state() == ExposureState::active);
  }
  CHECK(dummy_world().taken_down == 1);
}

TEST_CASE("a dry run is shown by the path that would serve, and by no other") {
  const Tables tables;
  CHECK(dry_run(tables.dummy_first, {}, kDummyRequest, {}).lines ==
        std::vector<std::string>{"# open a hatch for network web"});
  CHECK(dry_run(tables.dummy_last, {&kDummyPath}, kDummyRequest, {}).lines.front() ==
        "# open a hatch for network web");
  // The next path shows what the dummy does not serve.
  const ExposeRequest bridge{.target = Target::bridge("br0"), .ports = kDummyRequest.ports};
  CHECK(dry_run(tables.dummy_first, {}, bridge, {}).lines.front() == "# rules");
  // If no path is usable, the first that could serve.
  dummy_world().unusable = "there is no hatch";
  const std::array<const PathDriver*, 1> alone{&kDummyPath};
  CHECK(dry_run(alone, {}, kDummyRequest, {}).lines.front() == "# open a hatch for network web");
  CHECK(test::error_of([&] { dry_run(alone, {}, bridge, {}); }).code() == Errc::no_path);
  // A path with `rules_of` shows the rules of the named path.
  auto agent = tables.other;
  agent.name = "agent";
  agent.rules_of = "dummy";
  agent.dry_run = nullptr;
  const std::array<const PathDriver*, 2> with_agent{&kDummyPath, &agent};
  CHECK(dry_run(with_agent, {}, kDummyRequest, {}).lines.front() == "# open a hatch for network web");
}

TEST_CASE("a dead owner's record goes to the path that made it") {
  const Tables tables;
  const test::TempDir folder;
  const state::TunnelStore store(folder.path() / "state", knows_dummy);
  store.save(dead_record("0a", "dummy"));
  store.save(dead_record("0b", "other"));
  REQUIRE(store.load().size() == 2);
  const std::array<const PathDriver*, 1> alone{&kDummyPath};
  const auto listed = recorded_leases(alone, store.load());
  REQUIRE(listed.size() == 1);
  CHECK(listed.front().driver == &kDummyPath);
  CHECK(listed.front().record.id == "0a");
  clear_dead_leases(alone, store, Deadline::after(10s));
  CHECK(dummy_world().cleared == std::vector<std::string>{"0a"});
  // No path of this table made the other record, so it stays.
  REQUIRE(store.load().size() == 1);
  CHECK(store.load().front().via == "other");
}
