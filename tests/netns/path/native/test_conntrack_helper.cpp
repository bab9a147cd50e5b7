// Connections expected by a conntrack helper: it reads them from the data on an exposed port, which an
// attacker controls, and has them DNATed to any port of 127.0.0.1.
#include "attack.hpp"
#include "blog_recipe.hpp"
#include "unwatched_lease.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <array>

using namespace hostnet;
using namespace test;

namespace {

constexpr std::uint16_t kFtp = 21;
constexpr std::uint16_t kAmanda = 10080;

// Assigns the helper to connections of the port, by either firewall, while the object lives.
class Helper {
 public:
  enum class By { nft, iptables };
  Helper(By by, const char* name, Protocol protocol, std::uint16_t port) {
    const auto* const kind = to_string(protocol);
    if (by == By::nft) {
      exec("nft -f -",
           fmt::format("table ip admin {{\n ct helper it {{ type \"{}\" protocol {}; l3proto ip; }}\n"
                       " chain in {{ type filter hook prerouting priority -50;\n"
                       "  {} dport {} ct helper set \"it\"\n }}\n}}\n",
                       name, kind, kind, port));
      undo_ = "nft delete table ip admin";
    } else {
      const auto rule = fmt::format("PREROUTING -p {} --dport {} -j CT --helper {}", kind, port, name);
      exec("iptables-legacy -w -t raw -A " + rule);
      undo_ = "iptables-legacy -w -t raw -D " + rule;
    }
  }
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;
  ~Helper() { try_exec(undo_); }

 private:
  std::string undo_;
};

constexpr auto kBoth = {Helper::By::nft, Helper::By::iptables};

std::string say(const Fd& connection, const std::string& words) {
  std::array<char, 512> buffer;
  check_call(static_cast<int>(::send(connection.get(), words.data(), words.size(), MSG_NOSIGNAL)), "send");
  const auto got =
      check_call(static_cast<int>(::recv(connection.get(), buffer.data(), buffer.size(), 0)), "recv");
  return {buffer.data(), static_cast<std::size_t>(got)};
}

// Lets an echo service announce a data connection to the secret service (9999 is 39 * 256 + 15), and opens
// it.
std::string passive_ftp(const NetNs& from, Ipv4 gateway) {
  const auto control = join(from, {gateway, kFtp});
  say(control, "220 hi\r\n");
  // The gateway's address in the answer shows that the helper expects a connection.
  REQUIRE(say(control, "227 Entering Passive Mode (127,0,0,1,39,15)\r\n") ==
          "227 Entering Passive Mode (198,18,0,1,39,15)\r\n");
  return dial(from, {gateway, Secrets::port});
}

// The same with a UDP service.
std::string amanda_data(const NetNs& from, Ipv4 gateway) {
  const auto server = loopback(kAmanda, SOCK_DGRAM);
  const auto client = from.run([&] { return connect_to({gateway, kAmanda}, SOCK_DGRAM); });
  check_call(static_cast<int>(::send(client.get(), "?", 1, 0)), "send");
  std::array<char, 64> buffer;
  sockaddr_in peer{};
  socklen_t size = sizeof peer;
  check_call(static_cast<int>(::recvfrom(server.get(), buffer.data(), buffer.size(), 0,
                                         reinterpret_cast<sockaddr*>(&peer), &size)),
             "recvfrom");
  const std::string_view answer = "CONNECT DATA 9999\n";
  check_call(static_cast<int>(::sendto(server.get(), answer.data(), answer.size(), 0,
                                       reinterpret_cast<const sockaddr*>(&peer), size)),
             "sendto");
  REQUIRE(::recv(client.get(), buffer.data(), buffer.size(), 0) == static_cast<ssize_t>(answer.size()));
  return dial(from, {gateway, Secrets::port});
}

}  // namespace

TEST_CASE("what the ftp helper expects reaches no other port, and the exposed one works on") {
  for (const auto by : kBoth) {
    const Testbed bed;
    const Secrets secrets;
    const Service ftp(loopback(kFtp), "220 ready\r\n");
    const Helper helper(by, "ftp", Protocol::tcp, kFtp);
    {
      const auto exposure = bed.exposer()->expose(Testbed::on_br0({HostPort::same(kFtp)}));
      CHECK(passive_ftp(bed.hostile, bed.gateway) == "(silence)");
      CHECK(secrets.tcp.visits() == 0);
      CHECK(dial(bed.neighbour, {bed.gateway, kFtp}) == "220 ready\r\n");
    }
    {
      const auto exposure = bed.exposer()->expose(bed.for_container({HostPort::same(kFtp)}));
      CHECK(passive_ftp(bed.container, bed.gateway) == "(silence)");
      CHECK(secrets.tcp.visits() == 0);
    }
    const BlogRecipe recipe("br0", kFtp);
    CHECK(passive_ftp(bed.hostile, bed.gateway) == "secret");
  }
}

TEST_CASE("two layers keep expected connections out, on their way in and on the answers' way out") {
  for (const auto by : kBoth) {
    const Testbed bed;
    const Secrets secrets;
    const Service ftp(loopback(kFtp), "220 ready\r\n");
    const Helper helper(by, "ftp", Protocol::tcp, kFtp);
    const UnwatchedLeases lease(bed.runtime_dir(), Testbed::on_br0({HostPort::same(kFtp)}));
    Testbed::take_out(Testbed::GuardPart::input_expected);
    CHECK(passive_ftp(bed.hostile, bed.gateway) == "(silence)");
    Testbed::take_out(Testbed::GuardPart::output_expected);
    CHECK(passive_ftp(bed.hostile, bed.gateway) == "secret");
  }
}

TEST_CASE("what a helper of a service over UDP expects reaches no other port") {
  for (const auto by : kBoth) {
    const Testbed bed;
    const Secrets secrets;
    const Helper helper(by, "amanda", Protocol::udp, kAmanda);
    const UnwatchedLeases lease(bed.runtime_dir(),
                                Testbed::on_br0({HostPort{kAmanda, kAmanda, Protocol::udp}}));
    CHECK(amanda_data(bed.hostile, bed.gateway) == "(silence)");
    CHECK(secrets.tcp.visits() == 0);
    Testbed::take_out(Testbed::GuardPart::input_expected);
    Testbed::take_out(Testbed::GuardPart::output_expected);
    CHECK(amanda_data(bed.hostile, bed.gateway) == "secret");
  }
}

TEST_CASE("a guard of the version before, without these drops, gets them by the next lease") {
  const Testbed bed;
  const Secrets secrets;
  const Service ftp(loopback(kFtp), "220 ready\r\n");
  const Helper helper(Helper::By::nft, "ftp", Protocol::tcp, kFtp);
  const UnwatchedLeases lease(bed.runtime_dir(), Testbed::on_br0({HostPort::same(kFtp)}));
  Testbed::take_out(Testbed::GuardPart::input_expected);
  Testbed::take_out(Testbed::GuardPart::output_expected);
  const auto other = bed.exposer()->expose(Testbed::on_br0({HostPort::same(Secrets::exposed)}));
  CHECK(passive_ftp(bed.hostile, bed.gateway) == "(silence)");
  Testbed::take_out(Testbed::GuardPart::input_expected);
  CHECK(passive_ftp(bed.hostile, bed.gateway) == "(silence)");
}

TEST_CASE("an error that ICMP reports about a connection through the forward still reaches the service") {
  const Testbed bed;
  const auto server = loopback(7000, SOCK_DGRAM);
  const int on = 1;
  check_call(::setsockopt(server.get(), IPPROTO_IP, IP_RECVERR, &on, sizeof on), "IP_RECVERR");
  const auto exposure = bed.exposer()->expose(Testbed::on_br0({HostPort{7000, 7000, Protocol::udp}}));
  // No socket there: its kernel answers that the port is unreachable.
  Wire(bed.container).send({{ip("198.18.0.2"), 40'001}, {bed.gateway, 7000}, Protocol::udp}, mac_of("br0"));
  std::array<char, 64> buffer;
  sockaddr_in peer{};
  socklen_t size = sizeof peer;
  check_call(static_cast<int>(::recvfrom(server.get(), buffer.data(), buffer.size(), 0,
                                         reinterpret_cast<sockaddr*>(&peer), &size)),
             "recvfrom");
  check_call(
      static_cast<int>(::sendto(server.get(), "!", 1, 0, reinterpret_cast<const sockaddr*>(&peer), size)),
      "sendto");
  CHECK(::recv(server.get(), buffer.data(), buffer.size(), 0) == -1);
  CHECK(errno == ECONNREFUSED);
}
