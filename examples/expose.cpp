// Lets everything behind a bridge reach one service on this host's 127.0.0.1 while standard input is open.
// docs/linking.md shows how to build it.
//
//   sudo ./expose br0 8088
#include <hostnet/hostnet.hpp>

#include <iostream>
#include <limits>
#include <string>

namespace {

int run(const std::string& bridge, const std::string& port) {
  hostnet::ExposerOptions options;
  options.path = hostnet::Path::native;
  options.on_state = [](const std::string& lease, hostnet::ExposureState state, const std::string& reason) {
    std::cerr << lease << ": " << to_string(state) << ": " << reason << '\n';
  };
  const auto exposer = hostnet::make_exposer(options);
  if (const auto probe = exposer->probe(); !probe.usable) {
    for (const auto& reason : probe.reasons) std::cerr << "not usable here: " << reason << '\n';
    return 3;
  }

  hostnet::ExposeRequest request{hostnet::Target::bridge(bridge), {hostnet::HostPort::parse(port)}};
  request.require_listener = true;
  request.label = "example";
  const hostnet::Exposure exposure = exposer->expose(request);
  std::cout << exposure.gateway() << ':' << exposure.ports().front().container << std::endl;
  std::cin.ignore(std::numeric_limits<std::streamsize>::max());
  return 0;
}  // ~Exposure releases the lease

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: expose BRIDGE PORT\n";
    return 2;
  }
  hostnet::set_log_sink([](hostnet::LogLevel level, std::string_view line) {
    if (level >= hostnet::LogLevel::warning) std::cerr << line << '\n';
  });
  try {
    return run(argv[1], argv[2]);
  } catch (const hostnet::Error& error) {
    std::cerr << to_string(error.code()) << ": " << error.what() << '\n';
    if (!error.hint().empty()) std::cerr << error.hint() << '\n';
    return 1;
  }
}
