// Which ends a lease follows, and the records of one that waits.
#include "dbus/names.hpp"
#include "lease/exposure_impl.hpp"
#include "path/clear_away.hpp"
#include "path/paths.hpp"
#include "support/temp_dir.hpp"
#include "watch/follower.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <set>
#include <string>

using namespace hostnet;
using namespace hostnet::exposer;

namespace {

class Over : public Exposure::Impl {
 public:
  Over() {
    id = "0badf00d";
    via = "native";
    interface = "br-web";
    ports = {HostPort::same(8088)};
  }
  void release() override {}
  [[nodiscard]] ExposureState state() const override { return ExposureState::released; }
  [[nodiscard]] std::string reason() const override { return "its container has stopped"; }
};

const ExposeRequest kRequest{
    .target = Target::container("app"), .ports = {HostPort::same(8088)}, .label = "a note"};

state::TunnelRecord mark(const std::string& id, const std::string& follows) {
  state::TunnelRecord record{.via = "native", .id = id, .target = "container app"};
  record.owner.token = "aa";
  record.stats.state = state::kFollowing;
  record.follows = follows;
  return record;
}

}  // namespace

TEST_CASE("a lease follows its target, and no end that was asked for") {
  const struct {
    ExposureState state;
    const char* reason;
    bool follows;
    bool asked_for;
  } ends[] = {
      {ExposureState::released, "its container has stopped", true, false},
      {ExposureState::released, "its container has left network web", true, false},
      {ExposureState::released, dbus::reason::kContainerGone, true, false},
      {ExposureState::failed, "bridge br-web is gone", true, false},
      {ExposureState::failed, "the sidecar was removed", true, false},  // if its target is another
      {ExposureState::failed, dbus::reason::kInterfaceGone, true, false},
      {ExposureState::released, "its time is up", false, true},
      {ExposureState::released, "released by another process", false, true},
      {ExposureState::released, dbus::reason::kRevoked, false, true},
      {ExposureState::released, dbus::reason::kReleased, false, true},
      {ExposureState::released, dbus::reason::kExpired, false, true},
      {ExposureState::released, dbus::reason::kListenerGone, false, false},
      {ExposureState::released, "its owner is gone", false, false},
  };
  for (const auto& end : ends) {
    CAPTURE(end.reason);
    CHECK(may_follow(end.state, end.reason) == end.follows);
    CHECK(was_asked_for(end.reason) == end.asked_for);
  }
}

TEST_CASE("the record of a lease that waits says what it waits for, and since when it exists") {
  const Exposure lease(std::make_shared<Over>());
  state::TunnelRecord before;
  before.engine = "/run/docker.sock";
  before.owner.token = "aa";
  auto record = waiting_record(kRequest, lease, "its container has stopped", before);
  CHECK(record.id == "0badf00d");
  CHECK(record.via == "native");
  CHECK(record.target == "container app");
  CHECK(record.label == "a note");
  CHECK(record.network.empty());
  CHECK(record.ports == lease.ports());
  CHECK(record.engine == before.engine);
  CHECK(record.stats.state == state::kWaiting);
  CHECK(record.stats.reason == "its container has stopped");
  CHECK(record.created > 0);
  record.created = 7;
  CHECK(waiting_record(kRequest, lease, "again", record).created == 7);
  record.id = "another";  // the helper gives a new id
  CHECK(waiting_record(kRequest, lease, "again", record).created > 7);
  CHECK(state::tunnel_record_from_json(state::tunnel_record_to_json(
            record = waiting_record(kRequest, lease, "again", record))) == record);
}

TEST_CASE("a release ends followers by the beginning of a lease's id, and no list shows their marks") {
  const test::TempDir folder;
  const state::TunnelStore store(folder.path() / "state");
  for (const auto& [id, follows] :
       {std::pair{"01", "ab12"}, std::pair{"02", "ab34"}, std::pair{"03", "cd56"}})
    store.save(mark(id, follows));
  CHECK(state::tunnel_record_from_json(state::tunnel_record_to_json(mark("01", "ab12"))) ==
        mark("01", "ab12"));
  CHECK(recorded_leases(paths(), store.load()).empty());
  CHECK(end_followers(store, "ab").empty());  // ambiguous
  CHECK(store.load().size() == 3);
  CHECK(end_followers(store, "cd") == std::set<std::string>{"cd56"});
  CHECK_FALSE(store.contains("03"));
  CHECK(end_followers(store, "") == std::set<std::string>{"ab12", "ab34"});
  CHECK(store.load().empty());
}
