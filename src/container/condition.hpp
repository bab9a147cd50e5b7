// The state of a WaitFor. It is no part of the ABI, so that a condition more breaks no program.
#pragma once

#include "hostnet/wait_for.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <variant>

namespace hostnet {

/// What a WaitFor was made from. Hidden, or it would be exported along with WaitFor.
struct __attribute__((visibility("hidden"))) WaitFor::Condition {
  /// message_on_stdout(), message_on_stderr().
  struct Message {
    OutputStream stream;
    std::string text;
    unsigned times;
  };
  /// duration().
  struct Duration {
    std::chrono::milliseconds span;
  };
  /// exit().
  struct Exit {
    std::optional<int> code;  ///< nullopt: any.
  };
  /// healthy().
  struct Healthy {};
  /// http().
  struct Http {
    std::string path;
    ContainerPort port;
    int status;
  };
  /// listening().
  struct Listening {
    ContainerPort port;
  };

  std::variant<Duration, Message, Exit, Healthy, Http, Listening> kind;
};

}  // namespace hostnet
