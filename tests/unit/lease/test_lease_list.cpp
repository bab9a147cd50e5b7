// The shared list against a plain vector: each operation on one copy gives the vector's result, and the other
// copies stay unchanged.
#include "lease/lease_list.hpp"

#include <doctest/doctest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

using namespace hostnet;
using namespace hostnet::state;

namespace {

std::vector<std::string> labels_of(const LeaseList& list) {
  std::vector<std::string> labels;
  for (const auto& lease : list) labels.push_back(lease.id + lease.label);
  return labels;
}

std::vector<std::string> labels_of(const std::vector<Lease>& leases) {
  std::vector<std::string> labels;
  for (const auto& lease : leases) labels.push_back(lease.id + lease.label);
  return labels;
}

Lease lease(int number) {
  return {.id = std::to_string(number),
          .ports = {HostPort::same(static_cast<std::uint16_t>(1 + number % 5000))}};
}

}  // namespace

TEST_CASE("a list of leases behaves like a vector, and its copies stay unchanged") {
  std::mt19937 random(20261);
  for (int trial = 0; trial < 20; ++trial) {
    LeaseList list;
    std::vector<Lease> model;
    std::vector<std::pair<LeaseList, std::vector<std::string>>> copies;
    int last = 0;
    for (int step = 0; step < 60; ++step) {
      const auto some = [&](const Lease& lease) { return (std::stoi(lease.id) * 7 + step) % 5 == 0; };
      switch (random() % 5) {
        case 0:
        case 1:
          for (auto count = random() % 200; count > 0; --count) {
            list.push_back(lease(++last));
            model.push_back(lease(last));
          }
          break;
        case 2:
          list.erase_if(some);
          std::erase_if(model, some);
          break;
        case 3: {
          const auto label = std::to_string(step);
          list.change_if(some, [&](Lease& lease) { lease.label = label; });
          for (auto& lease : model)
            if (some(lease)) lease.label = label;
          break;
        }
        default:
          if (model.empty()) break;
          auto& one = model[random() % model.size()];
          one.label = "replaced";
          CHECK(list.replace(one));
      }
      CHECK_FALSE(list.replace(lease(0)));
      REQUIRE(labels_of(list) == labels_of(model));
      REQUIRE(list.size() == model.size());
      REQUIRE(list.empty() == model.empty());
      CHECK(list == LeaseList(model));
      if (!model.empty()) {
        CHECK(list.front() == model.front());
        CHECK(list.back() == model.back());
        const auto& one = model[random() % model.size()];
        CHECK(*list.find(one.id) == one);
      }
      CHECK(list.find("0") == nullptr);
      if (step % 6 == 0) copies.emplace_back(list, labels_of(model));
    }
    for (const auto& [copy, labels] : copies) REQUIRE(labels_of(copy) == labels);
  }
}

TEST_CASE("lists that differ in one lease are unequal, and share the other leases") {
  std::vector<Lease> leases;
  for (int i = 1; i <= 1000; ++i) leases.push_back(lease(i));
  const LeaseList before(leases);
  auto after = before;
  CHECK(after == before);
  auto changed = leases[500];
  changed.label = "other";
  after.replace(changed);
  CHECK_FALSE(after == before);
  int shared = 0;
  for (auto a = before.begin(), b = after.begin(); a != before.end(); ++a, ++b) shared += &*a == &*b ? 1 : 0;
  CHECK(shared == 999);
  changed.label = "";
  after.replace(changed);
  CHECK(after == before);
  after.push_back(lease(1001));
  CHECK_FALSE(after == before);
  CHECK_FALSE(before == LeaseList());
}

TEST_CASE("a search by port visits all leases with it, in order, and few others") {
  LeaseList list;
  for (int i = 0; i < 10000; ++i) list.push_back(lease(i));
  for (const std::vector<std::uint16_t>& ports : {std::vector<std::uint16_t>{1}, {64, 4999}, {65000}, {}}) {
    std::vector<const Lease*> met;
    list.visit_near(ports, [&](const Lease& lease) { met.push_back(&lease); });
    CHECK(met.size() <= 60 * ports.size());
    const std::set<const Lease*> found(met.begin(), met.end());
    std::vector<const Lease*> in_order;
    for (const auto& lease : list) {
      if (found.contains(&lease)) in_order.push_back(&lease);
      const bool has = std::ranges::find(ports, lease.ports.front().container) != ports.end();
      if (has) CHECK(found.contains(&lease));
    }
    CHECK(in_order == met);
  }
  // A change of a lease's ports is respected.
  auto moved = lease(17);
  moved.ports = {HostPort::same(60000)};
  list.replace(moved);
  bool met = false;
  list.visit_near({60000}, [&](const Lease& lease) { met = met || lease.id == "17"; });
  CHECK(met);
}

TEST_CASE("a difference at any place makes two lists unequal") {
  std::mt19937 random(7);
  LeaseList before;
  for (int i = 1; i <= 700; ++i) before.push_back(lease(i));
  for (int trial = 0; trial < 200; ++trial) {
    auto after = before;
    std::set<std::string> gone;
    std::set<std::string> changed;
    std::set<std::string> come;
    const auto rarely = 1 + random() % 300;
    for (int i = 1; i <= 700; ++i) {
      if (random() % rarely == 0) gone.insert(std::to_string(i));
      if (random() % rarely == 0) changed.insert(std::to_string(i));
    }
    for (auto count = random() % 3; count > 0; --count) come.insert(std::to_string(1000 + count));
    for (const auto& id : gone) changed.erase(id);
    after.change_if([&](const Lease& one) { return changed.contains(one.id); },
                    [](Lease& one) { one.label = "changed"; });
    after.erase_if([&](const Lease& one) { return gone.contains(one.id); });
    for (const auto& id : come) after.push_back(lease(std::stoi(id)));

    std::set<std::string> told_gone;
    std::set<std::string> told_changed;
    std::set<std::string> told_come;
    LeaseList::compare(
        before, after,
        [&](const Lease& was, const Lease& is) {
          CHECK(was.id == is.id);
          CHECK(was.label.empty());
          CHECK(is.label == "changed");
          told_changed.insert(is.id);
        },
        [&](const Lease& one) { told_gone.insert(one.id); },
        [&](const Lease& one) { told_come.insert(one.id); });
    CHECK(told_gone == gone);
    CHECK(told_changed == changed);
    CHECK(told_come == come);
  }
}

TEST_CASE("a moved-from list is empty") {
  LeaseList list{lease(1), lease(2)};
  const auto other = std::move(list);
  CHECK(other.size() == 2);
  CHECK(list.empty());      // NOLINT(bugprone-use-after-move): that is the question
  CHECK(list.size() == 0);  // NOLINT(readability-container-size-empty)
}
