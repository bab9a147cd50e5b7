// The ssh path without an engine, for tools/bench: prepares a sidecar's environment, command and key, and
// keeps a tunnel into the sidecar once the caller has started it.
//
//   tunnel FOLDER PORT=HOSTPORT… +PORT…
//
// Writes FOLDER/environment (each variable ended by a NUL), FOLDER/command and FOLDER/key, prints "prepared",
// reads the sidecar's address from stdin, prints how long the tunnel took to start, and ends with stdin. The
// tunnel does not serve a port with a plus; sshd permits it for OpenSSH's client with the same key, which the
// benchmark compares with.
#include "path/ssh/tunnel.hpp"

#include "core/ipv4.hpp"
#include "path/sidecar/dial.hpp"
#include "path/sidecar/sshd.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

namespace {

using namespace hostnet;

std::uint16_t port_of(const std::string& text) { return static_cast<std::uint16_t>(std::stoul(text)); }

void run(const std::filesystem::path& folder, const std::vector<std::string>& words) {
  auto client = ssh::Key::generate();
  const auto host = ssh::Key::generate();
  std::map<std::uint16_t, ssh::Service> services;
  ssh::SshdSetup setup{.host_private_key = host.private_text(),
                       .client_public_key = client.public_line(),
                       .lonely_limit = std::chrono::hours{1}};
  for (const auto& word : words) {
    const auto equals = word.find('=');
    const auto port = port_of(word.substr(word[0] == '+' ? 1 : 0));
    setup.listen_ports.push_back(port);
    if (equals != std::string::npos) services[port] = {.port = port_of(word.substr(equals + 1))};
  }
  std::ofstream(folder / "command") << ssh::sshd_command(setup);
  std::ofstream environment(folder / "environment");
  for (const auto& variable : ssh::sshd_environment(setup)) environment << variable << '\0';
  environment.close();
  std::ofstream(folder / "key") << client.private_text();
  std::filesystem::permissions(folder / "key", std::filesystem::perms::owner_read);
  std::cout << "prepared" << std::endl;

  std::string line;
  if (!std::getline(std::cin, line)) return;
  const Endpoint sshd{Ipv4::parse(line).value(), ssh::kPort};
  const auto deadline = Deadline::after(std::chrono::seconds{10});
  const ssh::Way way{.text = "its address", .endpoint = sshd};
  const ssh::Tunnel tunnel({.dial =
                                [&](Deadline by, const ssh::Accept& accept) {
                                  ssh::dial_sshd(
                                      {&way, 1}, by, [] {}, accept);
                                },
                            .client = std::move(client),
                            .host_key = host.public_line(),
                            .services = services},
                           deadline);
  const auto times = tunnel.times();
  fmt::print("{{\"cipher\": \"{}\", \"handshake_us\": {}, \"login_us\": {}, \"forwards_us\": {}}}\n",
             tunnel.stats().cipher, times.handshake.count(), times.login.count(), times.forwards.count());
  std::fflush(stdout);
  while (std::getline(std::cin, line)) {
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc < 3) throw std::invalid_argument("usage: tunnel FOLDER PORT=HOSTPORT... +PORT...");
    rlimit descriptors{};
    ::getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &descriptors);
    run(argv[1], {argv + 2, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << "tunnel: " << error.what() << '\n';
    return 1;
  }
}
