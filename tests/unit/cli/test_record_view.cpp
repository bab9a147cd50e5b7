// Leases from their records, as list, inspect and status show them: of whatever path.
#include "cli/record_view.hpp"
#include "path/paths.hpp"
#include "unit/path/dummy/dummy.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hostnet;
using namespace hostnet::cli;

namespace {

exposer::RecordedLease recorded(const exposer::PathDriver* driver) {
  return {driver,
          {.via = driver->name,
           .id = "0a",
           .target = "network web",
           .sidecar = "0123456789abcdef",
           .network = "web",
           .address = "192.0.2.7",
           .ports = {HostPort::same(80)}}};
}

bool shows(const Text& text, std::string_view words) { return text.str().find(words) != std::string::npos; }

}  // namespace

TEST_CASE("a lease is shown under its path's name, with what that path says of it") {
  const auto lease = recorded(&test::kDummyPath);
  CHECK(table({row_of(lease)}).str().find("dummy") != std::string::npos);
  const auto all = table(rows_of(lease));
  for (const auto* const words : {"dummy", "hatch", "7 (192.0.2.7)", "passage", "open as 0a"}) {
    CAPTURE(words);
    CHECK(shows(all, words));
  }
  for (const auto* const words : {"ssh", "native", "sidecar", "tunnel"}) {
    CAPTURE(words);
    CHECK_FALSE(shows(all, words));
  }
  CHECK(state_of(lease) == "open as 0a");
  const auto object = to_json(lease);
  CHECK(object.view().find("via").text() == "dummy");
  CHECK(object.view().find("hatch").integer() == 7);
  CHECK_FALSE(object.view().find("tunnel").is_there());
}

TEST_CASE("a lease by ssh is shown with its sidecar and its tunnel") {
  const auto lease = recorded(exposer::find_path(exposer::paths(), "ssh"));
  const auto all = table(rows_of(lease));
  CHECK(shows(all, "0123456789ab (192.0.2.7)"));
  CHECK(shows(all, "0 connections open of 0"));
  const auto object = to_json(lease);
  CHECK(object.view().find("via").text() == "ssh");
  CHECK(object.view().find("sidecar").text() == "0123456789abcdef");
  CHECK(object.view().find("tunnel").find("connections_open").integer() == 0);
}

TEST_CASE("a lease that waits is shown without what it had on a network") {
  auto lease = recorded(exposer::find_path(exposer::paths(), "native"));
  lease.record.stats = {.state = state::kWaiting, .reason = "its container has stopped"};
  lease.record.target = "container late";
  lease.record.network.clear();
  const auto all = table(rows_of(lease));
  CHECK(shows(all, "waiting for container late: its container has stopped"));
  for (const auto* const words : {"sources", "network", "alias in"}) {
    CAPTURE(words);
    CHECK_FALSE(shows(all, words));
  }
  const auto object = to_json(lease);
  CHECK(object.view().find("interface").is_null());
  CHECK(object.view().find("network").is_null());
}
