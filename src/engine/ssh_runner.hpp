// Commands on the other machine whose standard streams are a socket here, for a server that does not forward.
//
// ssh gets the socket itself as its standard input and output, so no byte passes through this process. A command ends
// with its connection; the thread only collects the ended ones, and accepts at the socket of the engine.
#pragma once

#include "core/child.hpp"
#include "core/fd.hpp"
#include "engine/address.hpp"

#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace hostnet::engine {

/// Used by one thread.
class SshRunner {
 public:
  /// `control` is the master's. The commands write their standard error to `words`. @throws Error.
  SshRunner(const Ssh& ssh, std::string control, int words);
  ~SshRunner();
  SshRunner(const SshRunner&) = delete;
  SshRunner& operator=(const SshRunner&) = delete;

  /// Runs `command` for each connection to the Unix socket `socket`, which it makes. Call it once. @throws Error.
  void serve(const std::string& socket, std::string command);

 private:
  void accept_all();
  void start(const Fd& streams);
  void collect();

  const Ssh ssh_;
  const std::string control_;
  const int words_;
  std::string program_;
  std::string command_;
  Fd listener_;
  Fd wake_;
  std::vector<std::unique_ptr<Child>> running_;  // the thread's
  std::jthread thread_;
};

}  // namespace hostnet::engine
