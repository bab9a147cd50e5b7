// Leases of a program that links the library: it uses everything that a program may do in the callback and
// after a fork.
//
//   lease_driver native|ssh ENGINE PORT CONTAINER…
//
// Exposes PORT to each container separately and prints "held N". The callback of a lease drops the lease's
// Exposure. Then, for each line of standard input:
//   state   prints "holding N told M": the Exposures left, and the ends reported to the callback
//   fork    the child returns from main(), which destroys all its objects; prints "child STATUS" afterwards
// At the end of the input it returns from main() itself.
#include "hostnet/hostnet.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <map>
#include <mutex>
#include <string>

int main(int argc, char** argv) {
  using namespace hostnet;
  if (argc < 5) return 2;
  std::mutex mutex;
  std::map<std::string, Exposure> held;
  int told = 0;
  ExposerOptions options;
  options.path = std::string(argv[1]) == "native" ? Path::native : Path::ssh;
  options.engine = argv[2];
  options.on_state = [&](const std::string& lease, ExposureState, const std::string& reason) {
    std::fprintf(stderr, "%s: %s\n", lease.c_str(), reason.c_str());
    std::unique_lock lock(mutex);
    const auto ended = held.extract(lease);
    ++told;
    lock.unlock();
  };
  try {
    const auto exposer = make_exposer(options);
    for (int i = 4; i < argc; ++i) {
      auto exposure = exposer->expose(Target::container(argv[i]), {HostPort::parse(argv[3])});
      const std::scoped_lock lock(mutex);
      auto id = exposure.id();
      held.emplace(std::move(id), std::move(exposure));
    }
    std::printf("held %zu\n", held.size());
    std::fflush(stdout);
    for (std::string line; std::getline(std::cin, line);) {
      if (line == "fork") {
        const auto child = ::fork();
        if (child == 0) {
          ::alarm(20);  // ends a child that waits for threads which it does not have
          break;
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        std::printf("child %d\n", status);
      } else {
        const std::scoped_lock lock(mutex);
        std::printf("holding %zu told %d\n", held.size(), told);
      }
      std::fflush(stdout);
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
