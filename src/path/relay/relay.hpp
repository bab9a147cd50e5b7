// The relay of this process: one thread that serves the sockets of all its leases.
//
// The thread starts with the first forward and ends with the last. It alone touches the loop; add() and
// remove() are jobs in its mailbox, and each waits for its own. A job takes no longer than one turn of the
// loop, which waits for nothing but the kernel.
#pragma once

#include "core/fd.hpp"
#include "core/mailbox.hpp"
#include "path/relay/counters.hpp"
#include "path/relay/loop.hpp"
#include "path/relay/service.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

namespace hostnet::relay {

/// Thread-safe.
class Relay {
 public:
  /// Starts the thread. @throws Error.
  explicit Relay(Limits limits = {});
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;
  ~Relay();

  /// The one of this process. A forked child gets its own.
  static std::shared_ptr<Relay> of_process();

  /// As Loop's.
  Loop::Id add(Fd socket, Service service, std::shared_ptr<Counters> counters,
               std::shared_ptr<Peers> peers = nullptr);
  void resume(Loop::Id id);
  void remove(Loop::Id id);

 private:
  struct Post final : Source {
    Mailbox<std::function<void()>> jobs;
    void on_events(std::uint32_t) override {}  // run() takes the jobs between two turns
  };

  template <class Work>
  auto in_thread(Work work);
  void run() noexcept;

  Loop loop_;
  Post post_;
  bool stopping_ = false;  // the thread's
  std::jthread thread_;    // last: it uses the others
};

/// One bound socket that the relay serves; its destructor ends that. Movable.
class Forward {
 public:
  /// @throws Error.
  Forward(Fd socket, Service service, std::shared_ptr<Counters> counters,
          std::shared_ptr<Relay> relay = Relay::of_process(), std::shared_ptr<Peers> peers = nullptr);
  Forward(Forward&& other) noexcept = default;
  Forward& operator=(Forward&&) = delete;
  /// Leaves it to the parent in a forked child.
  ~Forward();

  /// Call when its peers have become known.
  void resume();

 private:
  std::shared_ptr<Relay> relay_;
  std::uint64_t made_in_;
  Loop::Id id_;
};

}  // namespace hostnet::relay
