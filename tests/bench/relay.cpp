// The relay path without an engine, for tools/bench: makes sockets as one of its three kinds of lease does, and serves
// until it is killed.
//
//   relay setns NETNS PORT=HOSTPORT…              in that network namespace, entered by a child
//   relay handoff NETNS PROGRAM PORT=HOSTPORT…    there, by the program of the hand-off, run there
//   relay gateway BRIDGE ADDRESS PORT=HOSTPORT…   at that address of a bridge
//
// Prints "ready" once it serves.
#include "path/relay/relay.hpp"

#include "core/child.hpp"
#include "core/fd.hpp"
#include "core/random.hpp"
#include "core/unix_address.hpp"
#include "netlink/link.hpp"
#include "path/relay/container_net.hpp"
#include "path/relay/gateway.hpp"
#include "path/relay/handoff_message.hpp"
#include "path/relay/handoff_receiver.hpp"
#include "path/relay/peers.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace {

using namespace hostnet;
using Words = std::vector<std::string>;

Deadline soon() { return Deadline::after(std::chrono::seconds{10}); }

std::uint16_t number_in(const std::string& word) { return static_cast<std::uint16_t>(std::stoul(word)); }

std::vector<HostPort> ports_in(const Words& words, std::size_t from) {
  std::vector<HostPort> out;
  for (std::size_t i = from; i < words.size(); ++i)
    out.push_back(
        {.host = number_in(words[i].substr(words[i].find('=') + 1)), .container = number_in(words[i])});
  return out;
}

std::vector<relay::Door> doors_of(const std::vector<HostPort>& ports) {
  std::vector<relay::Door> out;
  for (const auto& port : ports) out.push_back(relay::door_of(port));
  return out;
}

relay::OpenDoors by_setns(const std::string& netns, const std::vector<HostPort>& ports) {
  relay::ContainerNet net;
  net.container = netns;
  net.netns.reset(::open(netns.c_str(), O_RDONLY | O_CLOEXEC));
  if (!net.netns) throw std::runtime_error("cannot open " + netns);
  return relay::bind_inside(net, relay::kInside, doors_of(ports), "bench", soon());
}

// A Unix socket in a folder of its own.
class Meeting {
 public:
  Meeting() {
    if (::mkdtemp(folder_.data()) == nullptr)
      throw std::system_error(errno, std::generic_category(), folder_);
    const auto address = unix_address(path()).value();
    listener_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (::bind(listener_.get(), as_sockaddr(address), sizeof address) != 0 ||
        ::listen(listener_.get(), 8) != 0)
      throw std::system_error(errno, std::generic_category(), path());
  }
  Meeting(const Meeting&) = delete;
  Meeting& operator=(const Meeting&) = delete;
  ~Meeting() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  [[nodiscard]] std::string path() const { return folder_ + "/socket"; }
  [[nodiscard]] int listener() const { return listener_.get(); }

 private:
  std::string folder_ = "/tmp/tc-hostnet-bench-XXXXXX";
  Fd listener_;
};

relay::OpenDoors by_handoff(const std::string& netns, const std::string& program,
                            const std::vector<HostPort>& ports) {
  const Meeting meeting;
  const relay::ExpectedHandoff expected{.container = netns,
                                        .token = random_hex(relay::kTokenDigits),
                                        .map = true,
                                        .address = relay::kInside,
                                        .ports = doors_of(ports)};
  ::setenv(relay::kTokenVariable, expected.token.c_str(), 1);
  Words words{"nsenter",       "--net=" + netns,           program, meeting.path(),
              relay::kNoHosts, relay::kInside.to_string(), "bench"};
  for (const auto& port : ports) words.push_back(std::to_string(port.container));
  Child child("/usr/bin/nsenter", words, {.err = STDERR_FILENO}, soon());
  bool ended = false;
  return relay::receive_handoff(
             meeting.listener(), expected, soon(),
             [&] {
               return ended = ended || child.wait(Deadline::after(std::chrono::seconds{0})).has_value();
             })
      .doors;
}

relay::OpenDoors at_gateway(const std::string& bridge, Ipv4 address, const std::vector<HostPort>& ports) {
  const auto link = netlink::Rtnl().link(bridge);
  if (!link) throw std::runtime_error("there is no " + bridge);
  const exposer::GatewayTarget target{
      .network = bridge, .bridge = bridge, .ifindex = link->ifindex, .gateway = address};
  relay::OpenDoors out;
  for (const auto& port : ports) out.sockets.push_back(relay::bind_at_gateway(target, address, port, soon()));
  return out;
}

void run(const Words& words) {
  std::vector<HostPort> ports;
  relay::OpenDoors opened;
  std::shared_ptr<relay::Peers> peers;
  if (words.size() > 2 && words[0] == "setns") {
    ports = ports_in(words, 2);
    opened = by_setns(words[1], ports);
  } else if (words.size() > 3 && words[0] == "handoff") {
    ports = ports_in(words, 3);
    opened = by_handoff(words[1], words[2], ports);
  } else if (words.size() > 3 && words[0] == "gateway") {
    ports = ports_in(words, 3);
    opened = at_gateway(words[1], Ipv4::parse(words[2]).value(), ports);
    peers = std::make_shared<relay::Peers>(relay::Peers::From::network);
  } else {
    throw std::invalid_argument("usage: relay setns|handoff|gateway …, see tests/bench/relay.cpp");
  }
  std::vector<relay::Forward> forwards;
  for (std::size_t i = 0; i < opened.sockets.size(); ++i)
    forwards.emplace_back(std::move(opened.sockets[i]), relay::Service::of(ports[i]),
                          std::make_shared<relay::Counters>(), relay::Relay::of_process(), peers);
  std::cout << "ready" << std::endl;
  ::pause();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    rlimit descriptors{};
    ::getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &descriptors);
    run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << "relay: " << error.what() << '\n';
    return 1;
  }
}
