// The end of the container of `run --image`.
#pragma once

#include "core/fd.hpp"
#include "core/thread.hpp"
#include "engine/containers.hpp"
#include "hostnet/error.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <utility>

namespace hostnet::cli {

/// Reads a container's exit code once it has ended. Its thread has its own engine connection, waits without a time limit,
/// holds no lock, and ends with the container.
class ContainerEnd {
 public:
  ContainerEnd(engine::Address engine, std::string container) : known_(::eventfd(0, EFD_CLOEXEC)) {
    if (!known_) throw Error::from_errno("eventfd", errno);
    thread_ = start_thread(
        "tchn-wait", [this, engine = std::move(engine), id = std::move(container)] { wait(engine, id); });
  }
  ContainerEnd(const ContainerEnd&) = delete;
  ContainerEnd& operator=(const ContainerEnd&) = delete;
  ~ContainerEnd() = default;  // joins the thread

  /// Readable once the container has ended.
  [[nodiscard]] int fd() const noexcept { return known_.get(); }
  /// Call once, when fd() is readable. @throws Error if the engine does not tell it.
  int exit_code() {
    thread_.join();
    if (error_) throw Error(*error_);
    return code_;
  }

 private:
  void wait(const engine::Address& engine, const std::string& id) {
    try {
      engine::Client client(engine);
      code_ = engine::Containers(client).wait(id, Deadline::never());
    } catch (const Error& error) {
      error_ = error;
    }
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(known_.get(), &one, sizeof one);
  }

  Fd known_;
  int code_ = 0;
  std::optional<Error> error_;
  std::jthread thread_;  // last: the thread uses the members above
};

}  // namespace hostnet::cli
