// Requests in labels, and the resulting steps.
#include "path/paths.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"
#include "watch/plan.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <string>

using namespace hostnet;
using namespace hostnet::exposer;
using namespace std::chrono_literals;

namespace {

engine::Container container(std::map<std::string, std::string> labels) {
  engine::Container out;
  out.id = std::string(64, 'a');
  out.name = "app";
  out.running = true;
  out.pid = 4711;
  out.labels = std::move(labels);
  return out;
}

std::optional<Wanted> wish(std::map<std::string, std::string> labels,
                           const std::map<std::string, std::string>& image_labels = {},
                           bool trust_images = false) {
  return wanted_by(container(std::move(labels)), image_labels, {.trust_images = trust_images});
}

std::optional<Wanted> wish_with(const Allowance& allowance, const std::string& ports) {
  return wanted_by(container({{kPortsLabel, ports}}), {}, {.allowance = allowance});
}

std::string fault_of(const std::optional<Wanted>& wanted) {
  REQUIRE(wanted);
  REQUIRE(wanted->fault);
  CHECK(wanted->ports.empty());
  return std::string(wanted->fault->what()) + "; " + wanted->fault->hint();
}

bool says(const std::string& text, std::string_view words) { return text.find(words) != std::string::npos; }

Wanted wanted_in(pid_t run) {
  Wanted wanted;
  wanted.id = "a";
  wanted.run = run;
  return wanted;
}

}  // namespace

TEST_CASE("a label that looks like one of ours") {
  const auto near = [](const std::map<std::string, std::string>& labels) {
    const auto found = exposer::near_label(labels);
    return found ? found->written + " " + found->meant : std::string();
  };
  const std::string ports = "io.github.tchostnet.ports";
  const std::string via = "io.github.tchostnet.via";
  for (const char* name :
       {"io.github.tchostnet.port", "io.github.tchostnet.prots", "IO.github.tchostnet.ports",
        "io.github.tc-hostnet.ports", "org.testcontainers.hostnet.exposes", "hostnet.ports"})
    CHECK(near({{name, "8080"}}) == std::string(name) + " " + ports);
  CHECK(near({{"io.github.tchostnet.vai", "ssh"}}) == "io.github.tchostnet.vai " + via);
  CHECK(near({{ports, "8080"}, {"io.github.tchostnet.vai", "ssh"}}) == "io.github.tchostnet.vai " + via);
  CHECK(near({{ports, "8080"}, {via, "ssh"}, {"org.example.ports", "1"}, {"ports", "1"}}).empty());
  CHECK(near({}).empty());
  CHECK(near({{"io.github.tchostnet.lease", "1a2b3c4d"}, {"io.github.tchostnet.owner", "x"}}).empty());
}

TEST_CASE("labels use the port syntax of `expose`") {
  const auto wanted = wish({{kPortsLabel, "8080, 5432:15432,5353/udp"}});
  REQUIRE(wanted);
  CHECK_FALSE(wanted->fault);
  CHECK(wanted->ports == std::vector<HostPort>{{5353, 5353, Protocol::udp}, {5432, 15432}, {8080, 8080}});
  CHECK(wanted->name == "app");
  CHECK(wanted->run == 4711);
  CHECK(wanted->via.empty());
}

TEST_CASE("ranges and addresses in a label") {
  const auto wanted = wish({{kPortsLabel, "8080-8082, 127.0.0.1:9000"}});
  REQUIRE(wanted);
  CHECK(wanted->ports ==
        std::vector{HostPort::same(8080), HostPort::same(8081), HostPort::same(8082), HostPort::same(9000)});
  CHECK(says(fault_of(wish({{kPortsLabel, "127.0.0.2:8080"}})),
             "asks for 127.0.0.2:8080/tcp, which watch does not allow"));
  CHECK(wish_with(Allowance::parse({"127.0.0.2:8080"}, {}), "127.0.0.2:8080:80")->ports ==
        std::vector{HostPort::parse("127.0.0.2:8080:80")});
  CHECK(says(fault_of(wish({{kPortsLabel, "2000-2256"}})), "a label has at most 4096 bytes and 256 ports"));
  CHECK(says(fault_of(wish({{kPortsLabel, "10.0.0.1:80"}})), "is not an address of this host's loopback"));
}

TEST_CASE("containers without a request, or not running") {
  CHECK_FALSE(wish({}));
  CHECK_FALSE(wish({{kViaLabel, "ssh"}}));
  auto stopped = container({{kPortsLabel, "8080"}});
  stopped.running = false;
  CHECK_FALSE(wanted_by(stopped, {}, {}));
}

TEST_CASE("the path: the container's label overrides the option of `watch`") {
  const auto with = container({{kPortsLabel, "8080"}, {kViaLabel, "ssh"}});
  CHECK(wanted_by(with, {}, {.via = {driver_of(Path::native)}})->via == PathOrder{driver_of(Path::ssh)});
  CHECK(wanted_by(container({{kPortsLabel, "8080"}}), {}, {.via = {driver_of(Path::native)}})->via ==
        PathOrder{driver_of(Path::native)});
  CHECK(says(fault_of(wish({{kPortsLabel, "8080"}, {kViaLabel, "carrier pigeon"}})),
             "label io.github.tchostnet.via: 'carrier pigeon' is not a path; give auto, native"));
  CHECK(wish({{kPortsLabel, "8080"}, {kViaLabel, "relay, ssh"}})->via ==
        PathOrder{driver_of(Path::relay), driver_of(Path::ssh)});
  CHECK(wanted_by(container({{kPortsLabel, "8080"}, {kViaLabel, "auto"}}), {},
                  {.via = {driver_of(Path::native)}})
            ->via.empty());
}

TEST_CASE("the error for an invalid label names the label and its fault") {
  CHECK(says(fault_of(wish({{kPortsLabel, "80x"}})),
             "label io.github.tchostnet.ports='80x': port '80x': '80x' is not a port number"));
  for (const char* wrong : {"", ",", "0", "65536", "80,", "80:81:82", "80/sctp", "1:2,3:2"})
    CHECK(says(fault_of(wish({{kPortsLabel, wrong}})), "label io.github.tchostnet.ports="));
  CHECK(fault_of(wish({{kPortsLabel, "80\n90"}})).find('\n') == std::string::npos);
}

TEST_CASE("an image's labels open no ports unless the image is trusted") {
  const std::map<std::string, std::string> brought{{kPortsLabel, "5432"}};
  CHECK(says(fault_of(wish({{kPortsLabel, "5432"}}, brought)), "comes from its image"));
  CHECK_FALSE(wish({{kPortsLabel, "5432"}}, brought, true)->fault);
  // The container's own label replaces the image's.
  CHECK_FALSE(wish({{kPortsLabel, "8080"}}, brought)->fault);
  // The image's label does not choose the path either.
  const std::map<std::string, std::string> chooses{{kViaLabel, "ssh"}};
  CHECK(says(fault_of(wish({{kPortsLabel, "8080"}, {kViaLabel, "ssh"}}, chooses)),
             "label io.github.tchostnet.via='ssh' comes from its image"));
  CHECK(wish({{kPortsLabel, "8080"}, {kViaLabel, "native"}}, chooses)->via ==
        PathOrder{driver_of(Path::native)});
}

TEST_CASE("a forbidden port is a fault of the whole label, and is listed") {
  const auto wanted = wish({{kPortsLabel, "8080,22:8022,80/udp"}});
  CHECK(says(fault_of(wanted),
             "label io.github.tchostnet.ports asks for 22:8022/tcp and 80/udp, which watch does not allow; "
             "allow it for all containers of this engine: watch --allow PORTS, or --allow-socket PATH"));
  CHECK(wanted->fault->code() == Errc::not_authorised);
  CHECK(wanted->refused == std::vector<HostPort>{{22, 8022}, {80, 80, Protocol::udp}});
  // The container's port number is not restricted.
  CHECK_FALSE(wish({{kPortsLabel, "8080:22"}})->fault);
  CHECK_FALSE(wish_with(Allowance::parse({"22"}, {}), "22:8022")->fault);
  CHECK(wish_with(Allowance::parse({"22"}, {}), "8080")->refused == std::vector<HostPort>{{8080, 8080}});
  // Trust in images does not allow further ports.
  CHECK(wish({{kPortsLabel, "22"}}, {{kPortsLabel, "22"}}, true)->refused.size() == 1);
  CHECK(says(fault_of(wish({{kPortsLabel, "1,2,3,4,5,6"}})), "1/tcp, 2/tcp, 3/tcp, 4/tcp and 2 more"));
  // Invalid labels request nothing.
  CHECK(wish({{kPortsLabel, "22,x"}})->refused.empty());
}

TEST_CASE("Unix sockets: only allowed ones, and none through a link") {
  CHECK(says(fault_of(wish({{kPortsLabel, "/run/docker.sock:2375"}})),
             "asks for /run/docker.sock:2375/tcp, which"));
  const test::TempDir dir;
  const auto folder = std::filesystem::canonical(dir.path());
  const auto plain = (folder / "a.sock").string();
  const auto allowance = Allowance::parse({}, {plain});
  const auto asked = [&] { return with_links_refused(wish_with(allowance, plain + ":80").value()); };
  CHECK_FALSE(asked().fault);
  CHECK(asked().ports.size() == 1);
  std::filesystem::create_symlink("/run/docker.sock", plain);
  CHECK(says(fault_of(asked()), "asks for " + plain + ":80/tcp, and '" + plain + "' is a link"));
  CHECK(says(fault_of(asked()), "not readable; allow and label the path without links"));
  CHECK(asked().refused.size() == 1);
}

TEST_CASE("the size of a label is bounded") {
  std::string many = "1024";
  for (int port = 1025; port < 1024 + 256; ++port) many += fmt::format(",{}", port);
  CHECK(wish({{kPortsLabel, many}})->ports.size() == 256);
  CHECK(
      says(fault_of(wish({{kPortsLabel, many + ",9000"}})), "a label has at most 4096 bytes and 256 ports"));
  CHECK(says(fault_of(wish({{kPortsLabel, "8080" + std::string(4096, ' ')}})), "at most 4096 bytes"));
  CHECK(fault_of(wish({{kPortsLabel, std::string(10'000'000, ',')}})).size() < 400);
}

TEST_CASE("steps: from the wanted and the current state") {
  const auto now = WatchClock::now();
  const auto wanted = wanted_in(7);
  const auto restarted = wanted_in(8);
  auto faulty = wanted_in(7);
  faulty.fault = Error(Errc::invalid_argument, "no");
  const auto dealt = [&](Standing standing, WatchClock::time_point again = {}) {
    return Dealt{.standing = standing, .run = 7, .again = again};
  };
  const auto held = dealt(Standing::held);
  const auto ended = dealt(Standing::ended);
  const auto refused = dealt(Standing::refused);
  const auto early = dealt(Standing::waiting, now + 1s);
  const auto due = dealt(Standing::waiting, now);

  SUBCASE("unknown") {
    CHECK(next_step(nullptr, nullptr, now) == WatchStep{});
    CHECK(next_step(&wanted, nullptr, now) == WatchStep{.expose = true});
    CHECK(next_step(&faulty, nullptr, now) == WatchStep{.refuse = true});
  }
  SUBCASE("still the same run") {
    for (const auto* before : {&held, &ended, &refused, &early})
      CHECK(next_step(&wanted, before, now) == WatchStep{});
    CHECK(next_step(&wanted, &due, now) == WatchStep{.expose = true});
    CHECK(next_step(&faulty, &refused, now) == WatchStep{});
  }
  SUBCASE("restarted") {
    CHECK(next_step(&restarted, &held, now) == WatchStep{.release = true, .expose = true});
    for (const auto* before : {&ended, &refused, &early, &due})
      CHECK(next_step(&restarted, before, now) == WatchStep{.expose = true});
  }
  SUBCASE("gone") {
    CHECK(next_step(nullptr, &held, now) == WatchStep{.release = true, .forget = true});
    for (const auto* before : {&ended, &refused, &early, &due})
      CHECK(next_step(nullptr, before, now) == WatchStep{.forget = true});
  }
}

TEST_CASE("the retry delay grows up to a limit") {
  CHECK(backoff(1, 200ms, 10s) == 200ms);
  CHECK(backoff(2, 200ms, 10s) == 400ms);
  CHECK(backoff(6, 200ms, 10s) == 6400ms);
  CHECK(backoff(7, 200ms, 10s) == 10s);
  CHECK(backoff(4'000'000'000U, 200ms, 10s) == 10s);
}
