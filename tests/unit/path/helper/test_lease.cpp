// A lease of the helper that ends at an awkward moment.
#include "hostnet/error.hpp"
#include "path/helper/lease.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"
#include "unit/engine/fake_engine.hpp"

#include <doctest/doctest.h>

#include <ctime>
#include <future>

using namespace hostnet;
using namespace hostnet::exposer;
using namespace std::chrono_literals;

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
