// Network namespaces as values: made for one test, held by a descriptor, gone with the object. The test's own
// thread never moves. Code that must run in a namespace runs on a separate thread or as a shell command.
#pragma once

#include "core/fd.hpp"

#include <functional>
#include <future>
#include <stop_token>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

namespace test {

/// A command's result.
struct Outcome {
  int status = 0;      ///< Its exit status; 128 + N when signal N killed it.
  std::string output;  ///< stdout and stderr, mixed as they came.
};

/// Runs `sh -c command` in the calling thread's namespaces with `input` as its stdin, and waits for it.
/// @throws std::system_error when it cannot start the shell.
Outcome try_exec(const std::string& command, const std::string& input = {});
/// The same for a command that must succeed. @returns its output. @throws std::runtime_error with the output
/// when the command fails.
std::string exec(const std::string& command, const std::string& input = {});

/// Owns a network namespace. Needs CAP_SYS_ADMIN. Use from one thread at a time; run() may nest.
class NetNs {
 public:
  /// A new namespace with only a loopback interface, which is up.
  NetNs();
  /// The calling thread's namespace.
  static NetNs current();

  [[nodiscard]] int fd() const { return fd_.get(); }
  /// For `ip … netns PATH` and `nsenter --net=PATH`; valid while this object lives.
  [[nodiscard]] std::string path() const;

  /// Calls `function` in this namespace on a separate thread, waits, and returns its result. Rethrows here
  /// what it throws, REQUIRE's failure included. A socket opened there belongs to this namespace and may be
  /// returned.
  template <class Function>
  auto run(Function function) const {
    std::packaged_task<decltype(function())()> task([&] {
      enter();
      return function();
    });
    auto result = task.get_future();
    std::thread(std::move(task)).join();
    return result.get();
  }

  /// Runs `function` in this namespace in parallel with the test. The jthread's destructor waits for its end;
  /// an endless function takes a std::stop_token.
  template <class Function>
  [[nodiscard]] std::jthread start(Function function) const {
    return std::jthread([this, function = std::move(function)](const std::stop_token& stop) mutable {
      enter();
      if constexpr (std::is_invocable_v<Function&, std::stop_token>) {
        function(stop);
      } else {
        function();
      }
    });
  }

  /// test::exec() and test::try_exec() in this namespace: `inside.exec("ip -j addr")`.
  std::string exec(const std::string& command, const std::string& input = {}) const;
  Outcome try_exec(const std::string& command, const std::string& input = {}) const;
  /// Feeds the text to `nft -f`.
  void nft(const std::string& ruleset) const;

 private:
  explicit NetNs(hostnet::Fd fd) : fd_(std::move(fd)) {}
  void enter() const;

  hostnet::Fd fd_;
};

/// One end of a veth pair.
struct VethEnd {
  const NetNs& netns;
  std::string name;
  std::string address = {};  ///< "10.1.0.1/24"; empty: none.
};

/// Connects two namespaces (or one with itself) by a veth pair. Both ends are up afterwards.
void connect(const VethEnd& one, const VethEnd& other);

}  // namespace test
