// loadgen: the server, the client and the stop-watch behind tools/bench, in one program so that a measurement
// needs nothing installed.
#include "commands.hpp"

#include <exception>
#include <iostream>

int main(int argc, char** argv) {
  using namespace hostnet::bench;
  const Arguments all(argv + 1, argv + argc);
  const Arguments rest(all.empty() ? all.begin() : all.begin() + 1, all.end());
  try {
    if (!all.empty() && all[0] == "server") {
      run_server(rest);
    } else if (!all.empty() && all[0] == "client") {
      run_client(rest);
    } else if (!all.empty() && all[0] == "spawn-time") {
      run_spawn_time(rest);
    } else {
      std::cerr << "usage: loadgen server|client|spawn-time ...\n";
      return 2;
    }
  } catch (const std::exception& error) {
    std::cerr << "loadgen: " << error.what() << '\n';
    return 1;
  }
}
