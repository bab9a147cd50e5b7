// The sidecar's life against a fake engine: what is asked of it and in which order, above all where a step
// fails.
#include "core/file.hpp"
#include "hostnet/error.hpp"
#include "path/sidecar/plan.hpp"
#include "path/sidecar/sidecar.hpp"
#include "support/expect_error.hpp"
#include "support/sockets.hpp"
#include "unit/engine/fake_engine.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

using namespace hostnet;
using namespace hostnet::exposer;
using namespace std::chrono_literals;
using test::error_of;
using test::http;

namespace {

Deadline soon() { return Deadline::after(10s); }

const std::string kTrouble = http(500, R"({"message":"the disk is full"})");
const std::string kDone = http(204, "");
const std::string kGone = http(404, R"({"message":"No such container"})");

// What `inspect` answers. The published port is 22's on 127.0.0.1; 0: none.
std::string container(const std::string& address, std::uint16_t published = 0, bool running = true) {
  const auto ports = published == 0
                         ? std::string()
                         : fmt::format(R"("22/tcp":[{{"HostIp":"127.0.0.1","HostPort":"{}"}}])", published);
  return http(
      200,
      fmt::format(
          R"({{"Id":"abc0000000000000000000000000000000000000000000000000000000000000","Name":"/tc-hostnet-1","State":{{"Running":{},"Pid":{}}},
"HostConfig":{{"NetworkMode":"web"}},
"NetworkSettings":{{"Ports":{{{}}},"Networks":{{"web":{{"NetworkID":"n","IPAddress":"{}"}}}}}}}})",
          running, running ? 4711 : 0, ports, address));
}

// An engine that has answers to each kind of request, the last of which it gives again and again.
class World {
 public:
  // In the words of asked().
  void answers(const std::string& kind, std::deque<std::string> answers) {
    const std::lock_guard lock(mutex_);
    answers_[kind] = std::move(answers);
  }
  // Since the last time: "create", "start", "inspect", "logs", "remove abc", …
  std::vector<std::string> asked() {
    const std::lock_guard lock(mutex_);
    return std::exchange(asked_, {});
  }
  [[nodiscard]] engine::Address address() const { return {engine_.socket(), "--engine"}; }
  [[nodiscard]] static engine::ContainerSpec spec(bool published = false) {
    engine::ContainerSpec spec{.name = "tc-hostnet-1", .image = "sshd"};
    if (published) spec.ports = {{.container = 22, .host_ip = "127.0.0.1"}};
    return spec;
  }
  std::unique_ptr<Sidecar> sidecar(bool published = false) {
    return std::make_unique<Sidecar>(address(), spec(published), reach(published), soon());
  }
  [[nodiscard]] static SidecarReach reach(bool published) {
    SidecarReach reach;
    reach.known.direct = !published;
    reach.network.id = "n";
    return reach;
  }

 private:
  static std::string kind_of(const std::string& line) {
    const auto has = [&](std::string_view part) { return line.find(part) != std::string::npos; };
    if (line.starts_with("DELETE")) {
      const auto start = line.rfind('/', line.find('?')) + 1;
      const auto id = line.substr(start, line.find('?') - start);
      return "remove " + id.substr(0, id.find_last_not_of('0') + 1);  // without what fills an id up
    }
    if (has("/containers/create")) return "create";
    if (has("/start ")) return "start";
    if (has("/logs?")) return "logs";
    if (has("/images/create?")) return "pull";
    if (has("/containers/json?")) return "list";
    if (has("/images/")) return "image";
    return has("/json ") ? "inspect" : line;
  }
  bool serve(const std::string& line, int connection) {
    if (line.find("/_ping") != std::string::npos) {
      test::send_bytes(connection, http(200, "OK", "Api-Version: 1.41\r\n"));
      return true;
    }
    const std::lock_guard lock(mutex_);
    asked_.push_back(kind_of(line));
    auto& answers = answers_[asked_.back()];
    test::send_bytes(connection,
                     answers.empty() ? http(404, R"({"message":"no such thing here"})") : answers.front());
    if (answers.size() > 1) answers.pop_front();
    return true;
  }

  std::mutex mutex_;
  std::map<std::string, std::deque<std::string>> answers_{
      {"create", {http(201, R"({"Id":"abc0000000000000000000000000000000000000000000000000000000000000"})")}},
      {"start", {kDone}},
      {"inspect", {container("198.18.0.2")}},
      {"remove abc", {kDone}}};
  std::vector<std::string> asked_;
  test::FakeEngine engine_{
      [this](const std::string& line, int connection) { return serve(line, connection); }};
};

using Asked = std::vector<std::string>;

const std::string kByExec = "a command of the engine in it";

Asked ways_of(const Sidecar& sidecar) {
  Asked out;
  for (const auto& one : sidecar.place().candidates) out.push_back(one.text());
  return out;
}

// A connection with the banner of the sidecar's sshd unread.
Fd dial(Sidecar& sidecar, Deadline deadline) {
  Fd out;
  sidecar.dial(deadline, [&](Fd connection, Deadline) { out = std::move(connection); });
  return out;
}

bool starts_with(const Error& error, std::string_view words) {
  INFO(error.what());
  return std::string_view(error.what()).starts_with(words);
}

// A port of 127.0.0.1 where nobody listens, and nobody will as long as it lives.
struct ClosedPort {
  ClosedPort() {
    const auto any = test::socket_address({test::ip("127.0.0.1"), 0});
    test::check_call(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), "bind");
  }
  [[nodiscard]] std::uint16_t port() const { return test::local_end(socket).port; }
  Fd socket = test::open_socket();
};

}  // namespace

TEST_CASE("a sidecar is created, started, looked at, and removed at its end") {
  World world;
  {
    const auto sidecar = world.sidecar();
    CHECK(sidecar->id() == "abc" + std::string(61, '0'));
    CHECK(sidecar->place().address().to_string() == "198.18.0.2");
    CHECK(ways_of(*sidecar) == Asked{"its address 198.18.0.2:22", kByExec});
    CHECK(world.asked() == Asked{"create", "start", "inspect"});
  }
  CHECK(world.asked() == Asked{"remove abc"});
}

TEST_CASE("a published port is dialled on 127.0.0.1") {
  World world;
  world.answers("inspect", {container("198.18.0.2", 49153)});
  const auto sidecar = world.sidecar(true);
  CHECK(sidecar->place().address().to_string() == "198.18.0.2");
  CHECK(ways_of(*sidecar) == Asked{"its published port 127.0.0.1:49153", kByExec});
}

TEST_CASE("what cannot be created is not removed either") {
  World world;
  world.answers("create", {kTrouble});
  const auto error = error_of([&] { world.sidecar(); });
  CHECK(starts_with(error, "sidecar create: "));
  CHECK(std::string(error.what()).find("the disk is full") != std::string::npos);
  CHECK(world.asked() == Asked{"create"});
}

TEST_CASE("what does not start is removed") {
  World world;
  world.answers("start", {kTrouble});
  const auto error = error_of([&] { world.sidecar(); });
  CHECK(starts_with(error, "sidecar start: "));
  CHECK(std::string(error.what()).find("the disk is full") != std::string::npos);
  CHECK(world.asked() == Asked{"create", "start", "remove abc"});
}

TEST_CASE("what cannot be looked at, or is of no use, is removed") {
  World world;
  const auto refuses = [&](const std::string& inspection, bool published) {
    world.answers("inspect", {inspection});
    auto error = error_of([&] { world.sidecar(published); });
    CHECK(world.asked() == Asked{"create", "start", "inspect", "remove abc"});
    return error;
  };
  CHECK(refuses(kTrouble, false).code() == Errc::engine_error);
  CHECK(refuses(kGone, false).code() == Errc::not_found);
  CHECK(refuses(http(200, "what?"), false).code() == Errc::engine_error);
  CHECK(starts_with(refuses(container("198.18.0.2", 0, false), false),
                    "sidecar start: the sidecar ended at once"));
  CHECK(starts_with(refuses(container(""), false), "sidecar start: the engine gave it no address"));
  CHECK(starts_with(refuses(container("", 49153), true), "sidecar start: the engine gave it no address"));
}

TEST_CASE("the first failure is the one that is told, also where the removal fails") {
  World world;
  world.answers("start", {kTrouble});
  world.answers("remove abc", {http(500, R"({"message":"busy"})")});
  const auto error = error_of([&] { world.sidecar(); });
  CHECK(starts_with(error, "sidecar start: "));
  CHECK(world.asked() == Asked{"create", "start", "remove abc"});
}

TEST_CASE("it is removed once, and again only where that failed") {
  World world;
  {
    const auto sidecar = world.sidecar();
    world.asked();
    world.answers("remove abc", {kTrouble, kDone});
    CHECK(error_of([&] { sidecar->remove(soon()); }).code() == Errc::engine_error);
    sidecar->remove(soon());
    sidecar->remove(soon());
    CHECK(world.asked() == Asked{"remove abc", "remove abc"});
  }
  CHECK(world.asked().empty());
}

TEST_CASE("that somebody else has removed it, or does so just now, is no error") {
  for (const auto& answer :
       {kGone, http(409, R"({"message":"removal of container abc is already in progress"})")}) {
    World world;
    {
      const auto sidecar = world.sidecar();
      world.asked();
      world.answers("remove abc", {answer});
      sidecar->remove(soon());
      CHECK(world.asked() == Asked{"remove abc"});
    }
    CHECK(world.asked().empty());
  }
}

TEST_CASE("a sidecar that has moved is dialled at its new place the next time") {
  const ClosedPort old;
  const auto now = test::listen_on({test::ip("127.0.0.1"), 0});
  const auto port = test::local_end(now).port;
  World world;
  world.answers("inspect", {container("198.18.0.2", old.port())});
  const auto sidecar = world.sidecar(true);
  world.answers("inspect", {container("198.18.0.3", port)});
  const auto start = std::chrono::steady_clock::now();
  const auto error = error_of([&] { dial(*sidecar, soon()); });
  CHECK(std::chrono::steady_clock::now() - start < 8s);  // not at the deadline
  CHECK(error.code() == Errc::timed_out);
  CHECK(starts_with(error, "the sidecar has moved to another address"));
  CHECK(sidecar->place().address().to_string() == "198.18.0.3");
  CHECK(ways_of(*sidecar) == Asked{fmt::format("its published port 127.0.0.1:{}", port), kByExec});

  std::jthread sshd([&] {
    const auto guest = test::accept_from(now);
    ::send(guest.get(), "SSH-2.0-x\r\n", 11, MSG_NOSIGNAL);
  });
  const auto connection = dial(*sidecar, soon());
  std::array<char, 4> banner{};
  CHECK(::recv(connection.get(), banner.data(), banner.size(), 0) == 4);
}

TEST_CASE("one that stays where it is and does not answer is waited for, and what it said is kept") {
  const ClosedPort silent;
  World world;
  world.answers("inspect", {container("198.18.0.2", silent.port())});
  const std::string said = "sshd: no hostkeys available\n";
  const auto frame = std::string{2, 0, 0, 0, 0, 0, 0, static_cast<char>(said.size())} + said;
  world.answers("logs", {http(200, frame), kGone});
  const auto sidecar = world.sidecar(true);
  const auto error = error_of([&] { dial(*sidecar, Deadline::after(700ms)); });
  CHECK(error.code() == Errc::timed_out);
  CHECK(starts_with(error, "ssh banner: the sidecar's sshd does not serve: its published port 127.0.0.1:"));
  CHECK(sidecar->last_words() == "sshd: no hostkeys available");
}

TEST_CASE("one that is gone is not waited for") {
  const ClosedPort silent;
  World world;
  world.answers("inspect", {container("198.18.0.2", silent.port()), kGone});
  const auto sidecar = world.sidecar(true);
  const auto start = std::chrono::steady_clock::now();
  const auto error = error_of([&] { dial(*sidecar, soon()); });
  CHECK(std::chrono::steady_clock::now() - start < 8s);
  CHECK(error.code() == Errc::not_found);
  CHECK(starts_with(error, "the sidecar was removed"));
}

TEST_CASE("orphans are the containers of owners that have died, and of nobody else") {
  const pid_t dead = ::fork();
  REQUIRE(dead >= 0);
  if (dead == 0) ::pause();
  const auto mine = owner_label();
  const auto here = mine.substr(0, mine.rfind('/', mine.rfind('/') - 1));  // this boot, this namespace
  const auto theirs = fmt::format("{}/{}/{}", here, dead, process_start_time(dead).value());
  ::kill(dead, SIGKILL);
  ::waitpid(dead, nullptr, 0);
  const auto entry = [](const std::string& id, const std::string& owner) {
    return fmt::format(
        R"({{"Id":"{:0<64}","Names":["/{}"],"Image":"sshd","State":"running","Labels":{{"{}":"{}"}}}})", id,
        id, kOwnerLabel, owner);
  };
  const auto inspected = [](const std::string& id, const std::string& owner) {
    return http(
        200,
        fmt::format(R"({{"Id":"{0:0<64}","Name":"/{0}","Image":"sha256:i","State":{{"Running":true,"Pid":7}},
"Config":{{"Labels":{{"{1}":"{2}"}}}},"HostConfig":{{"NetworkMode":"web"}},"NetworkSettings":{{}}}})",
                    id, kOwnerLabel, owner));
  };
  World world;
  world.answers("list", {http(200, fmt::format("[{},{},{},{},{}]", entry("a1", mine), entry("dead1", theirs),
                                               entry("a2", "another-boot/pid:[1]/2/3"), entry("a3", "?"),
                                               entry("dead2", theirs)))});
  world.answers("inspect", {inspected("dead1", theirs), inspected("dead2", theirs)});
  world.answers("image", {http(200, R"({"Config":{"Labels":null}})")});
  engine::Client client(world.address());
  remove_orphans(client, soon());
  CHECK(world.asked() == Asked{"list", "inspect", "image", "remove dead1", "inspect", "image",
                               "remove dead2"});  // both were gone already: no matter

  // The same label, and it comes with the image; or the image is gone, and it cannot be told.
  for (const auto& image :
       {http(200, fmt::format(R"({{"Config":{{"Labels":{{"{}":"{}"}}}}}})", kOwnerLabel, theirs)),
        http(404, R"({"message":"No such image"})")}) {
    world.answers("inspect", {inspected("dead1", theirs), inspected("dead2", theirs)});
    world.answers("image", {image});
    remove_orphans(client, soon());
    CHECK(world.asked() == Asked{"list", "inspect", "image", "inspect", "image"});
  }

  world.answers("remove dead1", {kTrouble});
  remove_orphans(client, soon());  // tells nobody but the log
  world.answers("list", {kTrouble});
  remove_orphans(client, soon());
}

TEST_CASE("an image that cannot be had is an error with the next step") {
  World world;
  engine::Client client(world.address());
  engine::Containers containers(client);
  for (const auto& answer :
       {kTrouble, http(404, R"({"message":"manifest unknown"})"), http(200, R"({"error":"no such host"})")}) {
    world.answers("pull", {answer});
    const auto error = error_of([&] { fetch_image(containers, "nosuch/sshd:1", soon()); });
    CHECK(error.code() == Errc::not_found);
    CHECK(starts_with(error, "sidecar image: nosuch/sshd:1 is not here and cannot be pulled: "));
    CHECK(error.hint().find("docker load") != std::string::npos);
    CHECK(error.hint().find("TESTCONTAINERS_SSHD_CONTAINER_IMAGE") != std::string::npos);
  }
  world.answers("pull", {"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"status\":\"Downloading\"}\r\n"});
  const auto error = error_of([&] { fetch_image(containers, "slow/sshd:1", Deadline::after(200ms)); });
  CHECK(error.code() == Errc::timed_out);
  CHECK_FALSE(error.hint().empty());
  CHECK(world.asked().size() == 4);
}
