// The hand-off without an engine: the image and the container as data, and our end of the socket against
// peers that do what the program does not.
#include "core/file.hpp"
#include "core/json_reader.hpp"
#include "core/process.hpp"
#include "core/sha256.hpp"
#include "engine/images.hpp"
#include "hostnet/error.hpp"
#include "path/relay/container_net.hpp"
#include "path/relay/handoff_message.hpp"
#include "path/relay/handoff_plan.hpp"
#include "path/relay/handoff_receiver.hpp"
#include "path/sidecar/labels.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/netlink.h>

#include <cstring>
#include <filesystem>
#include <thread>

using namespace hostnet;
using namespace hostnet::relay;
using namespace std::chrono_literals;
using test::error_of;

namespace {

constexpr std::uint16_t kFirst = 4711;
constexpr std::uint16_t kSecond = 4712;
const std::string kToken(kTokenDigits, 'a');

std::string elf(unsigned char machine) {
  std::string out(64, '\0');
  out.replace(0, 5,
              "\x7f"
              "ELF\x02");
  out[5] = 1;
  out[18] = static_cast<char>(machine);
  return out;
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

// A socket as the program makes them, but in our own network namespace.
Fd bound(std::uint16_t port) {
  int socket = -1;
  const auto made = make_bound_socket(port, kInside.network(), socket);
  REQUIRE(made.error == 0);
  return Fd(socket);
}

HandoffMessage message(std::uint16_t port, const std::string& token = kToken) {
  HandoffMessage out;
  std::memcpy(out.token, token.data(), sizeof out.token);
  out.port = port;
  return out;
}

// The listener of a hand-off, and one connection to it.
class Peer {
 public:
  explicit Peer(const test::TempDir& folder) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const auto path = (folder.path() / "s").string();
    std::memcpy(address.sun_path, path.data(), path.size());
    if (!std::filesystem::exists(path)) {
      listener_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
      REQUIRE(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
      REQUIRE(::listen(listener_.get(), 4) == 0);
    }
    peer_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(peer_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }

  void send(std::string_view bytes, const std::vector<int>& descriptors = {}) const {
    iovec part{const_cast<char*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))] = {};
    msghdr whole{};
    whole.msg_iov = &part;
    whole.msg_iovlen = 1;
    if (!descriptors.empty()) {
      const auto size = descriptors.size() * sizeof(int);
      whole.msg_control = control;
      whole.msg_controllen = CMSG_SPACE(size);
      auto* const header = reinterpret_cast<cmsghdr*>(control);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(size);
      std::memcpy(CMSG_DATA(header), descriptors.data(), size);
    }
    REQUIRE(::sendmsg(peer_.get(), &whole, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
  }
  void send(const HandoffMessage& message, const std::vector<int>& descriptors = {}) const {
    send(std::string_view(reinterpret_cast<const char*>(&message), sizeof message), descriptors);
  }
  void hang_up() { peer_.reset(); }
  [[nodiscard]] int listener() const { return listener_.get(); }

 private:
  Fd listener_;
  Fd peer_;
};

ExpectedHandoff expected(std::vector<Door> ports = {kFirst}, bool hosts = false) {
  return {.container = "api",
          .token = kToken,
          .root = ::getuid(),
          .hosts = hosts,
          .address = kInside,
          .ports = std::move(ports)};
}

HandedOver receive(const Peer& peer, const ExpectedHandoff& wanted, std::chrono::milliseconds span = 5s,
                   bool has_ended = true) {
  return receive_handoff(peer.listener(), wanted, Deadline::after(span), [&] { return has_ended; });
}

}  // namespace

TEST_CASE("the image: one layer with one file, digests that fit, the same for the same program") {
  const auto program = elf(62);
  const auto image = handoff_image(program);
  CHECK(image.tag == "tc-hostnet/handoff:" + sha256_hex(program).substr(0, 16));
  CHECK(image.archive == handoff_image(program).archive);
  CHECK(image.tag != handoff_image(elf(183)).tag);

  const test::TempDir folder;
  const auto unpack = [&](const std::string& archive) {
    const auto done = run_process({"tar", "-x", "-C", folder.path().string()}, archive, Deadline::after(10s));
    REQUIRE(done.exit_code == 0);
  };
  unpack(image.archive);
  const auto manifest = json::parse(read_file(folder.path() / "manifest.json")).dump();
  const auto layer = read_file(folder.path() / "layer.tar");
  CHECK("sha256:" + sha256_hex(layer) == image.layer);
  unpack(layer);
  CHECK(read_file(folder.path() / "tc-hostnet-handoff") == program);
  std::string config;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    if (const auto name = entry.path().filename().string(); name.size() == 69) {
      config = read_file(entry.path());
      CHECK(name == sha256_hex(config) + ".json");
      CHECK(manifest.find(name) != std::string::npos);
    }
  CHECK(manifest.find(image.tag) != std::string::npos);
  CHECK(config.find(image.layer) != std::string::npos);
  CHECK(config.find(R"("architecture":"amd64")") != std::string::npos);
  CHECK(config.find(kHandoffLabel) != std::string::npos);
}

TEST_CASE("a program that is none makes no image") {
  for (const auto& text : {std::string(), std::string("#!/bin/sh\n"), std::string(63, '\x7f')})
    CHECK(error_of([&] { handoff_image(text); }).code() == Errc::failure);
}

TEST_CASE("an image is believed for its layers, not for its tag or label") {
  const auto wanted = handoff_image(elf(62));
  CHECK(holds_program({.layers = {wanted.layer}}, wanted));
  CHECK_FALSE(holds_program({.tags = {wanted.tag}, .labels = {{kHandoffLabel, "0.1.0"}}}, wanted));
  CHECK_FALSE(holds_program({.layers = {wanted.layer, wanted.layer}}, wanted));
  CHECK_FALSE(holds_program({.layers = {"sha256:" + std::string(64, '0')}}, wanted));
}

TEST_CASE("only our own tags are removed") {
  CHECK(handoff_tags({.tags = {"tc-hostnet/handoff:1", "localhost/tc-hostnet/handoff:2", "mine:1",
                               "registry.example/tc-hostnet/handoff:3", "tc-hostnet/handoff-2:1"}}) ==
        std::vector<std::string>{"tc-hostnet/handoff:1", "localhost/tc-hostnet/handoff:2"});
  CHECK(handoff_tags({}).empty());
}

TEST_CASE("the container has no privilege but what a low port and a port map need") {
  HandoffJob job{.name = "tc-hostnet-1",
                 .lease = "1",
                 .image = "sha256:0",
                 .network = "container:abc",
                 .socket = "/run/s",
                 .hosts_path = "/data/hosts",
                 .address = kInside,
                 .ports = {8080, 9090},
                 .token = kToken,
                 .test_run_id = "run",
                 .owner = "owner"};
  auto spec = handoff_spec(job);
  CHECK(spec.network == "container:abc");
  CHECK(spec.cap_drop == std::vector<std::string>{"ALL"});
  CHECK(spec.cap_add.empty());
  CHECK(spec.no_new_privileges);
  CHECK(spec.read_only_root);
  CHECK(spec.auto_remove);
  CHECK_FALSE(spec.no_selinux_label);
  CHECK(*spec.command ==
        std::vector<std::string>{"/socket", "/hosts", kInside.to_string(), kNoMap, "8080", "9090"});
  CHECK(spec.environment == std::vector{fmt::format("{}={}", kTokenVariable, kToken)});
  CHECK(spec.binds.size() == 2);
  CHECK(spec.labels.at(exposer::kLeaseLabel) == "1");
  CHECK(spec.labels.at(exposer::kOwnerLabel) == "owner");
  job.ports = {80, Door(53, SOCK_DGRAM)};
  CHECK(handoff_spec(job).command->back() == "53/udp");
  job.selinux = true;
  spec = handoff_spec(job);
  CHECK(spec.cap_add == std::vector<std::string>{"NET_BIND_SERVICE"});
  CHECK(spec.no_selinux_label);
  job.with_map = true;
  spec = handoff_spec(job);
  CHECK(spec.cap_add == std::vector<std::string>{"NET_BIND_SERVICE", "NET_ADMIN"});
  CHECK(spec.command->at(3) == job.lease);
  job.with_map = false;
  job.ports = {};
  job.network = "none";
  spec = handoff_spec(job);
  CHECK(spec.network == "none");
  CHECK(spec.command->size() == 4);
}

TEST_CASE(
    "the container runs as who may write the target's hosts file, and Podman is not told of the target") {
  const auto user = [](std::optional<std::uint32_t> root, bool of_podman) {
    const auto one = handoff_user({"abc", 7, root, of_podman});
    return one.userns + " " + one.user;
  };
  CHECK(user(std::nullopt, false) == " 0:0");
  CHECK(user(0, false) == "host 0:0");
  CHECK(user(0, true) == "host 0:0");
  CHECK(user(100000, false) == " 0:0");
  CHECK(user(100000, true) == "host 100000:100000");
  CHECK(handoff_network({"abc", 7, 0, false}) == "container:abc");
  CHECK(handoff_network({"abc", 7, 0, true}) == "ns:/proc/7/ns/net");
}

TEST_CASE("an image's description, with and without what an engine may leave out") {
  const auto image = engine::parse_image(
      R"({"Id":"sha256:1","RepoTags":["a:1"],"RootFS":{"Type":"layers","Layers":["sha256:2"]},"Config":{"Labels":{"x":"y"}}})");
  CHECK(image.id == "sha256:1");
  CHECK(image.tags == std::vector<std::string>{"a:1"});
  CHECK(image.layers == std::vector<std::string>{"sha256:2"});
  CHECK(image.labels.at("x") == "y");
  CHECK(engine::parse_image(R"({"Id":"1","RepoTags":null,"Config":null})").layers.empty());
  CHECK(engine::parse_images(R"([{"Id":"1","RepoTags":["a:1"],"Labels":null}])").size() == 1);
  CHECK(error_of([] { engine::parse_image(R"({"RepoTags":[]})"); }).code() == Errc::engine_error);
}

TEST_CASE("sockets in this process's own network are not a container's") {
  const test::TempDir folder;
  const Peer peer(folder);
  const auto socket = bound(kFirst);
  peer.send(message(kFirst), {socket.get()});
  const auto error = error_of([&] { receive(peer, expected()); });
  CHECK(error.code() == Errc::no_path);
  CHECK(std::string(error.what()).find("this host's network") != std::string::npos);
}

TEST_CASE("a hosts file comes as it was opened, and no other kind of file passes") {
  const test::TempDir folder;
  const auto path = (folder.path() / "hosts").string();
  const auto offered = [&](int fd) {
    const test::TempDir place;
    const Peer peer(place);
    peer.send(message(0), {fd});
    return receive(peer, expected({}, true));
  };
  const Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  CHECK(offered(file.get()).hosts);

  const auto refused = [&](const Fd& fd) {
    REQUIRE(fd);
    const auto error = error_of([&] { offered(fd.get()); });
    CHECK(error.code() == Errc::failure);
    CHECK(std::string(error.what()).find("hosts file") != std::string::npos);
  };
  refused(Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)));
  refused(Fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC)));
  refused(Fd(::open(path.c_str(), O_PATH | O_CLOEXEC)));
  refused(Fd(::open("/dev/null", O_RDWR | O_CLOEXEC)));
  refused(Fd(::open("/etc/hosts", O_RDWR | O_CLOEXEC)));
  std::filesystem::create_hard_link(path, folder.path() / "second");
  refused(Fd(::open(path.c_str(), O_RDWR | O_CLOEXEC)));
}

TEST_CASE("a peer without the token is refused, and what it sent is closed; the next one may come") {
  const test::TempDir folder;
  const auto before = open_descriptors();
  Peer peer(folder);
  const Fd file(::open((folder.path() / "hosts").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  const auto say = [&](auto... what) { peer.send(what...); };
  SUBCASE("a wrong one") { say(message(0, std::string(kTokenDigits, 'b')), std::vector{file.get()}); }
  SUBCASE("none") { say(HandoffMessage{}, std::vector{file.get()}); }
  SUBCASE("a short message") { say(std::string_view("hello"), std::vector{file.get()}); }
  SUBCASE("an empty message") { say(std::string_view(""), std::vector{file.get()}); }
  SUBCASE("a long message") {
    std::string text(sizeof(HandoffMessage) + 1, 'a');  // begins with the token
    say(std::string_view(text), std::vector{file.get()});
  }
  SUBCASE("a very long message") { say(std::string_view(std::string(60'000, 'a'))); }
  SUBCASE("nothing, and hangs up") { peer.hang_up(); }
  {
    const Peer second(folder);
    second.send(message(0), {file.get()});
    CHECK(receive(peer, expected({}, true), 20s).hosts);
  }
  peer.hang_up();
  CHECK(open_descriptors() == before + 2);  // the listener and the file
}

TEST_CASE("a silent peer does not hold the hand-off up for ever") {
  const test::TempDir folder;
  const Peer peer(folder);
  const auto error = error_of([&] { receive(peer, expected(), 300ms, false); });
  CHECK(error.code() == Errc::timed_out);
}

TEST_CASE("with the token, every departure is a failure, and nothing stays open") {
  const test::TempDir folder;
  const auto before = open_descriptors();
  {
    Peer peer(folder);
    const Fd file(::open((folder.path() / "hosts").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    const Fd udp(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const Fd unbound(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const Fd ipv6(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto other_port = bound(kSecond);
    const auto listening = bound(kFirst);
    REQUIRE(::listen(listening.get(), 1) == 0);
    std::string words;
    SUBCASE("no descriptor") {
      peer.send(message(kFirst));
      words = "0 descriptors";
    }
    SUBCASE("two descriptors") {
      peer.send(message(kFirst), {file.get(), file.get()});
      words = "2 descriptors";
    }
    SUBCASE("more than there is room for") {
      peer.send(message(kFirst), std::vector<int>(40, file.get()));
      words = "too many descriptors";
    }
    SUBCASE("a file") {
      peer.send(message(kFirst), {file.get()});
      words = "not the one";
    }
    SUBCASE("UDP") {
      peer.send(message(kFirst), {udp.get()});
      words = "not the one";
    }
    SUBCASE("IPv6") {
      peer.send(message(kFirst), {ipv6.get()});
      words = "not the one";
    }
    SUBCASE("not bound") {
      peer.send(message(kFirst), {unbound.get()});
      words = "not the one";
    }
    SUBCASE("bound to another port") {
      peer.send(message(kFirst), {other_port.get()});
      words = "not the one";
    }
    SUBCASE("listening") {
      peer.send(message(kFirst), {listening.get()});
      words = "not the one";
    }
    SUBCASE("another port's message") {
      peer.send(message(kSecond), {other_port.get()});
      words = "port 4712 came instead of 4711";
    }
    const auto error = error_of([&] { receive(peer, expected()); });
    CHECK(error.code() == Errc::failure);
    CAPTURE(error.what());
    CHECK(std::string(error.what()).find(words) != std::string::npos);
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("after the first descriptor the token still counts, and an early end is told") {
  const test::TempDir folder;
  Peer peer(folder);
  const Fd file(::open((folder.path() / "hosts").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  peer.send(message(0), {file.get()});
  std::string words;
  SUBCASE("another token") {
    peer.send(message(kFirst, std::string(kTokenDigits, 'b')), {file.get()});
    words = "makes no sense";
  }
  SUBCASE("the end") {
    peer.hang_up();
    words = "the connection was closed";
  }
  const auto error = error_of([&] { receive(peer, expected({kFirst}, true)); });
  CHECK(error.code() == Errc::failure);
  CHECK(std::string(error.what()).find(words) != std::string::npos);
}

TEST_CASE("a port map is a netlink socket of another network, or a reason why there is none") {
  const test::TempDir folder;
  const Peer peer(folder);
  auto wanted = expected();
  wanted.map = true;
  auto text = message(0);
  text.step = Step::map;
  Errc code = Errc::failure;
  std::string words;
  const Fd netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  const Fd routes(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  const auto socket = bound(kFirst);
  SUBCASE("of this process's own network") {
    peer.send(text, {netlink.get()});
    code = Errc::no_path;
    words = "this host's network";
  }
  SUBCASE("another kind of netlink") {
    peer.send(text, {routes.get()});
    words = "port map is not the one";
  }
  SUBCASE("another kind of socket") {
    peer.send(text, {socket.get()});
    words = "port map is not the one";
  }
  SUBCASE("none came") {
    peer.send(text);
    words = "0 descriptors";
  }
  SUBCASE("the port came in its place") {
    peer.send(message(kFirst), {socket.get()});
    words = "port 4711 came instead of 0";
  }
  SUBCASE("another message without a port") {
    peer.send(message(0), {netlink.get()});
    words = "not in its place";
  }
  SUBCASE("an error, with a descriptor") {
    text.error = EPERM;
    peer.send(text, {netlink.get()});
    words = "a descriptor came with an error";
  }
  SUBCASE("an error; then the ports follow") {
    text.error = EPERM;
    peer.send(text);
    peer.send(message(kFirst), {socket.get()});
    code = Errc::no_path;
    words = "this host's network";
  }
  SUBCASE("an error; then no other port passes for the one asked for") {
    text.error = EPERM;
    peer.send(text);
    const auto other = bound(kSecond);
    peer.send(message(kFirst), {other.get()});
    words = "not the one that was asked for";
  }
  const auto error = error_of([&] { receive(peer, wanted); });
  CHECK(error.code() == code);
  CAPTURE(error.what());
  CHECK(std::string(error.what()).find(words) != std::string::npos);
}

TEST_CASE("the program's errors are those of the other way in") {
  const auto said = [](std::uint16_t port, Step step, int code) {
    const test::TempDir folder;
    const Peer peer(folder);
    auto text = message(port);
    text.step = step;
    text.error = code;
    peer.send(text);
    return error_of([&] { receive(peer, expected({kFirst}, port == 0)); });
  };
  auto error = said(kFirst, Step::listen, EADDRINUSE);
  CHECK(error.code() == Errc::conflict);
  CHECK(std::string(error.what()) == "port 4711 is in use in container api");
  error = said(kFirst, Step::bind, EADDRNOTAVAIL);
  CHECK(std::string(error.what()).find("loopback interface of container api is down") != std::string::npos);
  error = said(kFirst, Step::bind, EACCES);
  CHECK(error.code() == Errc::failure);
  error = said(0, Step::hosts, EACCES);
  CHECK(error.code() == Errc::failure);
  CHECK(error.hint().find("--no-alias") != std::string::npos);
}

TEST_CASE("a program that has ended without a word is no reason to wait") {
  const test::TempDir folder;
  Peer peer(folder);
  peer.hang_up();
  const auto begin = std::chrono::steady_clock::now();
  const auto error = error_of([&] { receive(peer, expected(), 60s); });
  CHECK(error.code() == Errc::no_path);
  CHECK(std::chrono::steady_clock::now() - begin < 20s);
}
