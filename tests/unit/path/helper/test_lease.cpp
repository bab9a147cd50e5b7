// A lease of the helper that ends at an awkward moment, and its names in containers, without a bus: what the
// helper itself would do is not asked for here.
#include "hostnet/error.hpp"
#include "path/helper/helper.hpp"
#include "path/helper/lease.hpp"
#include "support/expect_error.hpp"
#include "support/log_count.hpp"
#include "support/temp_dir.hpp"
#include "unit/engine/fake_engine.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <future>

using namespace hostnet;
using namespace hostnet::exposer;
using namespace std::chrono_literals;

namespace {

const std::string kContainer(64, 'a');

// A lease whose engine knows no container, on a machine whose bus does not answer.
struct NamedLease {
  NamedLease() {
    ::setenv("DBUS_SYSTEM_BUS_ADDRESS", ("unix:path=" + (dir.path() / "no-bus").string()).c_str(), 1);
    settings.watch = std::make_shared<HelperWatch>();
    settings.store = std::make_shared<state::TunnelStore>(dir.path() / "state");
    settings.owner = std::make_shared<state::Owner>(settings.store->folder());
    settings.notifier = std::make_shared<Notifier>(StateCallback());
    settings.engine = "unix://" + engine.socket();
    lease = std::make_shared<HelperLease>(
        settings, dbus::Granted{.lease = "/io/github/tchostnet/lease/0123456789abcdef", .keepalive = Fd()});
  }
  ~NamedLease() { ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS"); }

  [[nodiscard]] state::TunnelRecord record(const std::string& address = "198.18.0.1") const {
    state::TunnelRecord out;
    out.via = "helper";
    out.id = lease->id;
    out.target = "container:web";
    out.owner = settings.owner->id();
    out.engine = settings.engine;
    out.network = "br0";
    out.address = address;
    out.created = std::time(nullptr);
    return out;
  }
  [[nodiscard]] std::vector<std::string> recorded_containers() const {
    for (const auto& one : settings.store->load())
      if (one.id == lease->id) return one.alias_in;
    return {};
  }
  [[nodiscard]] auto asked_for(const std::string& container) const {
    return std::ranges::count_if(engine.requests(), [&](const std::string& line) {
      return line.find("/containers/" + container + "/json") != std::string::npos;
    });
  }

  test::TempDir dir;
  test::FakeEngine engine{test::serve_paths({}, "Api-Version: 1.41\r\n")};
  HelperLease::Settings settings;
  std::shared_ptr<HelperLease> lease;
};

}  // namespace

TEST_CASE(
    "a name that a container of the network does not get is told, and the record stays until the release") {
  const NamedLease world;
  {
    const test::LogCount warnings("aaaaaaaaaaaa");
    world.lease->write_alias({kContainer}, false, world.record(), Deadline::after(20s));
    CHECK(warnings.times() == 1);
  }
  CHECK(world.recorded_containers() == std::vector{kContainer});
  CHECK(world.lease->state() == ExposureState::active);
  world.lease->release();  // the bus is gone, and the helper's lease with it: no failure
  CHECK_FALSE(world.settings.store->contains(world.lease->id));
  CHECK(world.lease->state() == ExposureState::released);
  CHECK(world.asked_for(kContainer) == 2);
  world.lease->release();
  world.lease->end(ExposureState::failed, "interface-gone");
  CHECK(world.lease->state() == ExposureState::released);
  CHECK(world.asked_for(kContainer) == 2);
}

TEST_CASE("a name that the one container does not get is an error, with another way to it") {
  const NamedLease world;
  const auto error = test::error_of(
      [&] { world.lease->write_alias({kContainer}, true, world.record(), Deadline::after(20s)); });
  CHECK(error.code() == Errc::not_found);
  CHECK(error.hint() ==
        "start it with --add-host host.testcontainers.internal:host-gateway, and expose with --no-alias");
  // The lease's maker releases it, which removes the record.
  CHECK(world.settings.store->contains(world.lease->id));
  world.lease->release();
  CHECK_FALSE(world.settings.store->contains(world.lease->id));
}

TEST_CASE("a gateway that is no address is an error before anything is recorded") {
  const NamedLease world;
  const auto error = test::error_of(
      [&] { world.lease->write_alias({kContainer}, false, world.record("fe80::1"), Deadline::after(20s)); });
  CHECK(std::string(error.what()) == "the gateway 'fe80::1' is not an address");
  CHECK_FALSE(world.settings.store->contains(world.lease->id));
}

TEST_CASE("a container that joins the network later gets the name once, and only of a lease that has one") {
  const NamedLease world;
  engine::Container joined;
  joined.id = std::string(64, 'b');
  world.lease->take_in(joined, Deadline::after(20s));
  CHECK(world.engine.requests().empty());  // a lease without names
  world.lease->write_alias({}, false, world.record(), Deadline::after(20s));
  CHECK(world.recorded_containers().empty());
  for (int i = 0; i < 2; ++i) {
    world.lease->take_in(joined, Deadline::after(20s));
    CHECK(world.recorded_containers() == std::vector{joined.id});
  }
  world.lease->end(ExposureState::failed, "interface-gone");
  CHECK_FALSE(world.settings.store->contains(world.lease->id));
  const auto before = world.engine.requests().size();
  world.lease->take_in(joined, Deadline::after(20s));
  CHECK(world.engine.requests().size() == before);
}

TEST_CASE("an engine that does not answer keeps the record, for a later clean-up, and the release tells") {
  NamedLease world;
  world.lease->write_alias({}, false, world.record(), Deadline::after(20s));
  auto record = world.record();
  record.engine = "unix://" + (world.dir.path() / "gone").string();
  world.settings.engine = record.engine;
  world.lease = std::make_shared<HelperLease>(
      world.settings,
      dbus::Granted{.lease = "/io/github/tchostnet/lease/0123456789abcdef", .keepalive = Fd()});
  world.lease->write_alias({kContainer}, false, record, Deadline::after(20s));
  CHECK_FALSE(std::string(test::error_of([&] { world.lease->release(); }).what()).empty());
  CHECK(world.lease->state() == ExposureState::released);
  CHECK(world.settings.store->contains(world.lease->id));
}

TEST_CASE("what the helper does not serve is refused before the bus is asked, and a missing bus is told") {
  const NamedLease world;
  ExposerOptions options;
  options.runtime_dir = (world.dir.path() / "runtime").string();
  options.engine = world.settings.engine;
  const auto exposer = make_helper(options);
  const auto refusal = [&](ExposeRequest request) {
    return test::error_of([&] { exposer->expose_all(std::vector{std::move(request)}); });
  };
  const ExposeRequest plain{.target = Target::bridge("lo"), .ports = {HostPort::same(8088)}};
  auto forced = plain;
  forced.force = true;
  CHECK(refusal(forced).code() == Errc::invalid_argument);
  CHECK(refusal(forced).hint() == "leave out --force, or run as root: sudo tc-hostnet …");
  auto without_ports = plain;
  without_ports.ports.clear();
  CHECK(refusal(without_ports).code() == Errc::invalid_argument);
  CHECK(refusal(plain).code() == Errc::invalid_argument);  // no bridge
  const auto probe = exposer->probe();
  CHECK_FALSE(probe.usable);
  REQUIRE(probe.reasons.size() == 1);
  CHECK_FALSE(probe.reasons.front().empty());
  CHECK(kHelperPath.leaves_to_another(Error(Errc::no_path, "why")));
  CHECK(kHelperPath.leaves_to_another(Error(Errc::not_authorised, "why")));
  CHECK(kHelperPath.leaves_to_another(Error(Errc::interaction_required, "why")));
  CHECK_FALSE(kHelperPath.leaves_to_another(Error(Errc::conflict, "why")));
  world.lease->ask_unpinned(Deadline::after(5s));
  CHECK(world.lease->unpinned().starts_with("the helper does not report whether the lease is pinned: "));
  CHECK_FALSE(std::string(test::error_of([&] { world.settings.watch->start(); }).what()).empty());
}

TEST_CASE("a lease that ends while its record is being written leaves neither record nor name, and says so") {
  const test::TempDir dir;
  HelperLease::Settings settings;
  settings.watch = std::make_shared<HelperWatch>();
  settings.store = std::make_shared<state::TunnelStore>(dir.path().string());
  settings.owner = std::make_shared<state::Owner>(settings.store->folder());
  std::promise<void> told;
  settings.notifier = std::make_shared<Notifier>(
      [&](const std::string&, ExposureState, const std::string&) { told.set_value(); });
  std::shared_ptr<HelperLease> lease;
  bool was_written = false;
  const auto knows_no_container = test::serve_paths({}, "Api-Version: 1.41\r\n");
  test::FakeEngine engine([&](const std::string& request, int connection) {
    // Nobody is waited for: the listener has other leases to look after.
    was_written = was_written || settings.store->contains(lease->id);
    lease->end(ExposureState::failed, "interface-gone");
    return knows_no_container(request, connection);
  });
  settings.engine = "unix://" + engine.socket();
  lease = std::make_shared<HelperLease>(
      settings, dbus::Granted{.lease = "/io/github/tchostnet/lease/0123456789abcdef", .keepalive = Fd()});
  state::TunnelRecord record;
  record.via = "helper";
  record.id = lease->id;
  record.target = "container:web";
  record.owner = settings.owner->id();
  record.engine = settings.engine;
  record.network = "br0";
  record.address = "198.18.0.1";
  record.created = std::time(nullptr);
  const std::string container(64, 'a');
  const auto error =
      test::error_of([&] { lease->write_alias({container}, false, record, Deadline::after(20s)); });
  CHECK(std::string(error.what()) == "lease 0123456789abcdef ended during its setup: interface-gone");
  CHECK(was_written);
  CHECK_FALSE(settings.store->contains(lease->id));
  CHECK(lease->state() == ExposureState::failed);
  CHECK(told.get_future().wait_for(20s) == std::future_status::ready);
  lease->release();  // has nothing left to do
}
