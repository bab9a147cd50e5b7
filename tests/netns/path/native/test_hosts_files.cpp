// Containers that block an open() of their hosts files: other containers and the guard are not delayed, and
// the edits happen later.
#include "path/native/holder.hpp"
#include "path/native/names.hpp"
#include "support/fake_container.hpp"
#include "support/hostile_hosts.hpp"
#include "support/log_count.hpp"
#include "support/testbed.hpp"
#include "unwatched_lease.hpp"

#include <doctest/doctest.h>

#include <future>
#include <list>
#include <set>

using namespace hostnet;
using namespace std::chrono_literals;
using namespace test;

namespace {

constexpr const char* kHosts = "127.0.0.1 localhost\n";

class Containers {
 public:
  Containers() {
    add("600d00000000", [](const auto&) {});
    good_ = &all_.back();
    add("bad1ea5e0000", [](const std::string& file) { hold_lease(file); });
    lease_ = &all_.back();
    add("badf10cc0000", [](const std::string& file) { hold_flock(file); });
    add("badf1f000000", [](const std::string& file) { put_fifo(file); });
    add("badf05e00000", [](const std::string& file) { mount_silence(file); });
  }
  [[nodiscard]] std::vector<engine::AliasRecord> records() const {
    std::vector<engine::AliasRecord> records;
    for (const auto& one : all_) records.push_back(one.record());
    return records;
  }
  [[nodiscard]] bool has_name() const { return good_->hosts() != kHosts; }
  [[nodiscard]] const FakeContainer& with_lease() const { return *lease_; }
  void end_hostile() {
    for (auto& one : all_)
      if (&one != good_) one.end();
  }

 private:
  void add(const char* id, const std::function<void(const std::string&)>& way) {
    all_.emplace_back(
        [&](const std::filesystem::path& root) {
          write(root / "etc/hosts", kHosts);
          way(root / "etc/hosts");
        },
        id);
  }
  std::list<FakeContainer> all_;
  FakeContainer* good_ = nullptr;
  FakeContainer* lease_ = nullptr;
};

// A lease for all of br0 with these hosts files, ready for hold().
exposer::Prepared lease_with(std::vector<engine::AliasRecord> aliases, std::uint16_t port) {
  const auto request = Testbed::on_br0({HostPort::same(port)});
  auto prepared = exposer::prepare(std::span(&request, 1), {}, soon());
  prepared.leases.front().aliases = std::move(aliases);
  return prepared;
}

std::shared_ptr<exposer::Holder> holder_in(const Testbed& bed) {
  exposer::Holder::Settings settings;
  settings.runtime_dir = bed.runtime_dir();
  return std::make_shared<exposer::Holder>(std::move(settings));
}

// Removes the first layer of the guard and waits for its return.
std::chrono::milliseconds time_to_repair(const Testbed& bed) {
  // It may be back before the first check.
  auto start = Deadline::Clock::now();
  bool seen = false;
  for (int attempt = 0; attempt < 20 && !seen; ++attempt) {
    start = Deadline::Clock::now();
    Testbed::take_out(Testbed::GuardPart::raw);
    seen = !bed.unguarded().empty();
  }
  // nf_tables notifies the monitor at once, usually before a check here (test_mending.cpp shows the gap).
  if (!on_nftables()) REQUIRE(seen);
  CHECK(eventually([&] { return bed.unguarded().empty(); }, 10s));
  return std::chrono::duration_cast<std::chrono::milliseconds>(Deadline::Clock::now() - start);
}

template <class Work>
std::chrono::milliseconds time_of(Work work) {
  const auto start = Deadline::Clock::now();
  work();
  return std::chrono::duration_cast<std::chrono::milliseconds>(Deadline::Clock::now() - start);
}

// Five times an operation's limit, for a machine under load.
constexpr auto kSlow = 5 * engine::kAliasBudget;

}  // namespace

TEST_CASE("files that are held up cost an operation its budget, and a flushed guard nothing") {
  Testbed bed(Testbed::OwnRules::none);
  bed.remember();
  Containers containers;
  const auto watching = holder_in(bed);
  auto other = lease_with({}, 8001);
  auto stands = std::move(watching->hold(std::move(other.leases), other.bridges, soon()).front());
  const auto quiet = time_to_repair(bed);

  // Whether the guard was back before the edits were abandoned. A guard that waits for the edits never is;
  // one that does not may still wait for a processor.
  bool in_set_up = false;
  bool in_release = false;
  for (int attempt = 1; attempt <= 4 && !(in_set_up && in_release); ++attempt) {
    CAPTURE(attempt);
    const auto holder = holder_in(bed);
    auto prepared = lease_with(containers.records(), 8002);
    Exposure lease;
    const LogCount warnings("is not written into container bad");
    auto holding = std::async(std::launch::async, [&] {
      return time_of(
          [&] { lease = std::move(holder->hold(prepared.leases, prepared.bridges, soon()).front()); });
    });
    std::this_thread::sleep_for(200ms);
    const auto during_set_up = time_to_repair(bed);
    in_set_up = in_set_up || holding.wait_for(0s) == std::future_status::timeout;
    const auto set_up = holding.get();
    CHECK(set_up < kSlow);
    CHECK(warnings.times() == 4);
    CHECK(containers.has_name());

    auto releasing = std::async(std::launch::async, [&] { return time_of([&] { lease.release(); }); });
    CHECK(eventually([&] { return Testbed::rules().find("8002") == std::string::npos; }, kSlow));
    const auto during_release = time_to_repair(bed);
    in_release = in_release || releasing.wait_for(0s) == std::future_status::timeout;
    const auto release = releasing.get();
    CHECK(release < kSlow);
    CHECK_FALSE(containers.has_name());
    MESSAGE("guard back after " << quiet.count() << " ms, during set-up " << during_set_up.count()
                                << " ms, during release " << during_release.count() << " ms; set-up took "
                                << set_up.count() << " ms, release " << release.count() << " ms");
  }
  CHECK(in_set_up);
  CHECK(in_release);

  // The two that may succeed later are in the journal; once they do, nothing remains.
  stands.release();
  exposer::LeaseStore store(bed.runtime_dir());
  CHECK(store.peek().leases.empty());
  CHECK(store.peek().names.size() >= 2);
  containers.end_hostile();
  exposer::finish_names(store, Deadline::after(engine::kAliasBudget));
  CHECK(bed.changes() == "");
}

TEST_CASE("a name is tried so many times and no more") {
  Testbed bed(Testbed::OwnRules::none);
  bed.remember();
  const Containers containers;
  const auto holder = holder_in(bed);
  auto prepared = lease_with({containers.with_lease().record()}, 8001);
  holder->hold(std::move(prepared.leases), prepared.bridges, soon()).front().release();
  exposer::LeaseStore store(bed.runtime_dir());
  for (int tries = 1; tries < exposer::kNameTries; ++tries) {
    REQUIRE(store.peek().names.size() == 1);
    CHECK(store.peek().names.front().tries == tries);
    exposer::finish_names(store, Deadline::after(100ms));
  }
  CHECK(bed.changes() == "");
}

TEST_CASE("the alias that cannot be written to the one container of a lease takes the lease back") {
  Testbed bed(Testbed::OwnRules::none);
  bed.remember();
  Containers containers;
  const auto holder = holder_in(bed);
  auto prepared = lease_with({containers.with_lease().record()}, 8001);
  prepared.leases.front().sources = {Ipv4::parse("198.18.0.2").value()};
  try {
    holder->hold(prepared.leases, prepared.bridges, soon());
    FAIL("held");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::timed_out);
    CHECK(std::string(error.what()).find("bad1ea5e0000") != std::string::npos);
  }
  exposer::LeaseStore store(bed.runtime_dir());
  CHECK(store.peek().leases.empty());
  CHECK_FALSE(Testbed::has_ours());
  containers.end_hostile();
  exposer::finish_names(store, Deadline::after(engine::kAliasBudget));
  CHECK(bed.changes() == "");
}

TEST_CASE(
    "a lease that ends by itself leaves its name to a thread of its own, with the guard of others kept") {
  Testbed bed(Testbed::OwnRules::none);
  bed.remember();
  Containers containers;
  auto holder = holder_in(bed);
  auto other = lease_with({}, 8001);
  auto stands = std::move(holder->hold(std::move(other.leases), other.bridges, soon()).front());
  auto prepared = lease_with(containers.records(), 8002);
  prepared.leases.front().expires = state::expiry_after(4s);
  auto lease = std::move(holder->hold(std::move(prepared.leases), prepared.bridges, soon()).front());
  CHECK(containers.has_name());
  CHECK(eventually([&] { return lease.state() == ExposureState::released; }, 30s));
  CHECK(time_to_repair(bed) < 5s);
  CHECK(eventually([&] { return !containers.has_name(); }, 10s));
  CHECK(stands.state() == ExposureState::active);
  stands.release();
  containers.end_hostile();
  holder.reset();
  lease = {};
  stands = {};
  exposer::LeaseStore store(bed.runtime_dir());
  exposer::finish_names(store, Deadline::after(engine::kAliasBudget));
  CHECK(bed.changes() == "");
}

TEST_CASE("a lease that is released while its name is being written leaves no name") {
  Testbed bed(Testbed::OwnRules::none);
  bed.remember();
  Containers containers;
  const auto holder = holder_in(bed);
  auto prepared = lease_with(containers.records(), 8001);
  auto holding = std::async(std::launch::async, [&] {
    return std::move(holder->hold(prepared.leases, prepared.bridges, soon()).front());
  });
  exposer::LeaseStore store(bed.runtime_dir());
  REQUIRE(eventually([&] { return store.peek().leases.size() == 1 && containers.has_name(); }, 10s));
  {
    // As `tc-hostnet release`, killed before it removed the names.
    auto transaction = store.begin(soon());
    transaction.remove({transaction.held().leases.front().id});
    transaction.settle({});
    transaction.tidy();
  }
  auto lease = holding.get();
  CHECK_FALSE(containers.has_name());
  CHECK(eventually([&] { return lease.state() != ExposureState::active; }, 10s));
  containers.end_hostile();
  CHECK(eventually([&] { return bed.changes().empty(); }, 10s));
}
