// What is on everything that a process makes, and whose owner has died.
#include "core/file.hpp"
#include "path/sidecar/labels.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

using namespace hostnet;
using namespace hostnet::exposer;

TEST_CASE("what is to go with this process carries the family's labels, the owner, and a value of its own") {
  auto labels = test_run_labels();
  CHECK(labels.at("org.testcontainers") == "true");
  CHECK(labels.at("org.testcontainers.lang") == "c++");
  CHECK(labels.at("org.testcontainers.sessionId") == test_run_id());
  CHECK(labels.at("io.github.tchostnet.owner") == owner_label());
  CHECK(labels.at(kCreationLabel) != test_run_labels().at(kCreationLabel));
  CHECK(labels.contains(kVersionLabel));
  CHECK(labels.size() == 6);
}

TEST_CASE("an owner is dead only when that can be told from here") {
  const auto mine = owner_label();
  CHECK_FALSE(owner_has_ended(mine));
  CHECK_FALSE(owner_has_ended(""));
  CHECK_FALSE(owner_has_ended("another-boot" + mine.substr(mine.find('/'))));
  CHECK(owner_has_ended(mine + "1"));  // this pid, started at another time

  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::pause();
  const auto start = process_start_time(child).value();
  const auto head = mine.substr(0, mine.rfind('/', mine.rfind('/') - 1));
  const auto theirs = fmt::format("{}/{}/{}", head, child, start);
  CHECK_FALSE(owner_has_ended(theirs));
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(owner_has_ended(theirs));
}
