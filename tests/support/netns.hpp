// Network namespaces as values: made for one test, held by a descriptor, gone with the object. The test's own
// thread never moves; what must happen in one runs there on a thread of its own, or as a shell command.
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

/// What a command did.
struct Outcome {
  int status = 0;      ///< Its exit status; 128 + N when signal N killed it.
  std::string output;  ///< stdout and stderr, mixed as they came.
};

/// Runs `sh -c command` in the calling thread's namespaces with `input` as its stdin, waits for it.
/// @throws std::system_error when there is no shell to be had.
Outcome try_exec(const std::string& command, const std::string& input = {});
/// The same, for a command that must succeed. @returns its output. @throws std::runtime_error with it
/// otherwise.
std::string exec(const std::string& command, const std::string& input = {});

/// Owns a network namespace. Needs CAP_SYS_ADMIN. Use from one thread at a time; run() may nest.
class NetNs {
 public:
  /// A fresh one, with nothing in it but a loopback interface, which is up.
  NetNs();
  /// The calling thread's.
  static NetNs current();

  [[nodiscard]] int fd() const { return fd_.get(); }
  /// For `ip … netns PATH` and `nsenter --net=PATH`; good while this object lives.
  [[nodiscard]] std::string path() const;

  /// Calls `function` in this namespace on a thread of its own, waits, and returns what it returns. What it
  /// throws, REQUIRE's failure too, is thrown here. A socket opened there stays of this namespace and may be
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

  /// Lets `function` run in this namespace beside the test. The jthread's destructor waits for its end; a
  /// function that goes on until it is told takes a std::stop_token.
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
  /// `nft -f` with this text.
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
  std::string address = {};  ///< "10.1.0.1/24"; empty for none.
};

/// Joins two namespaces (or one with itself) with a veth pair; both ends are up when it returns.
void connect(const VethEnd& one, const VethEnd& other);

}  // namespace test
