// For tools/bench start: measures GenericImage::start(). For each word on standard input ("none" or the name of
// a path) it starts a container with a host port exposed on that path, prints the milliseconds, and removes the
// container.
#include "hostnet/container.hpp"

#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>

int main() {
  using namespace hostnet;
  for (std::string word; std::cin >> word;) {
    GenericImage image("alpine", "3.19");
    image.with_cmd({"sleep", "600"}).with_network("web");
    for (const auto path : {Path::native, Path::ssh, Path::relay})
      if (word == to_string(path)) image.with_exposed_host_port(8088).with_exposer(path);
    try {
      const auto begin = std::chrono::steady_clock::now();
      const auto container = image.start();
      const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
      std::printf("%.3f\n", took.count());
      std::fflush(stdout);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      return 1;
    }
  }
  return 0;
}
