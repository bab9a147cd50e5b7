// Starts threads that do not disturb the program that links the library.
#include "core/thread.hpp"

#include "core/log.hpp"
#include "core/signals.hpp"
#include "hostnet/error.hpp"

#include <cxxabi.h>
#include <pthread.h>

#include <exception>
#include <system_error>
#include <utility>

namespace hostnet {

std::jthread start_thread(std::string name, std::function<void()> body) {
  const SignalsBlocked blocked;  // inherited by the thread
  try {
    return std::jthread([name, body = std::move(body)] {
      ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());
      try {
        body();
      } catch (const std::exception& error) {
        log::error("thread {} has ended: {}", name, error.what());
      } catch (const abi::__forced_unwind&) {
        throw;  // pthread_exit(3)
      } catch (...) {
        log::error("thread {} has ended: an exception of an unknown type", name);
      }
    });
  } catch (const std::system_error& error) {
    throw Error(Errc::failure, fmt::format("cannot start thread {}: {}", name, error.code().message()),
                "see ulimit -u and the cgroup's pids.max", error.code().value());
  }
}

}  // namespace hostnet
