// The relay path without an engine, for tools/bench: listens in a network namespace and serves until it is
// killed.
//
//   relay NETNS ADDRESS PORT=HOSTPORT…
//
// Prints "ready" once it serves.
#include "path/relay/relay.hpp"

#include "core/fd.hpp"
#include "path/relay/container_net.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <exception>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace hostnet;

void run(const char* netns, const std::string& address, const std::vector<std::string>& words) {
  relay::ContainerNet net;
  net.container = netns;
  net.netns.reset(::open(netns, O_RDONLY | O_CLOEXEC));
  if (!net.netns) throw std::runtime_error(std::string("cannot open ") + netns);
  std::vector<relay::Door> inside;
  std::vector<relay::Service> services;
  for (const auto& word : words) {
    inside.emplace_back(static_cast<std::uint16_t>(std::stoul(word)));
    const auto host = static_cast<std::uint16_t>(std::stoul(word.substr(word.find('=') + 1)));
    services.push_back(relay::Service::of({.host = host, .container = inside.back().port}));
  }
  const auto deadline = Deadline::after(std::chrono::seconds{10});
  auto opened = relay::bind_inside(net, Ipv4::parse(address).value(), inside, "bench", deadline);
  std::vector<relay::Forward> forwards;
  for (std::size_t i = 0; i < opened.sockets.size(); ++i)
    forwards.emplace_back(std::move(opened.sockets[i]), services[i], std::make_shared<relay::Counters>());
  std::cout << "ready" << std::endl;
  ::pause();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc < 4) throw std::invalid_argument("usage: relay NETNS ADDRESS PORT=HOSTPORT...");
    rlimit descriptors{};
    ::getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &descriptors);
    run(argv[1], argv[2], {argv + 3, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << "relay: " << error.what() << '\n';
    return 1;
  }
}
