// For tools/bench control: measures one library call that creates many leases, one port each.
//
//   bench_leases FIREWALL BRIDGE FIRST-PORT COUNT
//
// Prints the milliseconds, and holds the leases until its standard input ends.
#include "firewall/backend.hpp"
#include "hostnet/exposer.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  using namespace hostnet;
  if (argc != 5) return 2;
  try {
    const auto exposer =
        make_exposer({.path = Path::native, .firewall = firewall::parse_firewall(argv[1]).value()});
    std::vector<ExposeRequest> requests;
    for (long i = 0; i < std::atol(argv[4]); ++i)
      requests.push_back({.target = Target::bridge(argv[2]),
                          .ports = {HostPort::same(static_cast<std::uint16_t>(std::atol(argv[3]) + i))}});
    const auto begin = std::chrono::steady_clock::now();
    const auto exposures = exposer->expose_all(requests);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
    std::printf("%.3f\n", took.count());
    std::fflush(stdout);
    for (std::string line; std::getline(std::cin, line);) {
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
