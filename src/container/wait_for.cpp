// Conditions as text.
#include "hostnet/wait_for.hpp"

#include "core/strings.hpp"

#include <fmt/format.h>

namespace hostnet {
namespace {

struct Words {
  std::string operator()(const WaitFor::Message& message) const {
    const char* const stream = message.stream == OutputStream::out ? "stdout" : "stderr";
    const auto times = message.times == 1 ? std::string() : fmt::format(", {} times", message.times);
    return fmt::format("message {} on {}{}", quote(message.text), stream, times);
  }
  std::string operator()(const WaitFor::Duration& duration) const {
    return fmt::format("{} ms", duration.span.count());
  }
  std::string operator()(const WaitFor::Exit& exit) const {
    return exit.code ? fmt::format("end with exit code {}", *exit.code) : "end";
  }
  std::string operator()(const WaitFor::Healthy&) const { return "health"; }
  std::string operator()(const WaitFor::Http& http) const {
    return fmt::format("HTTP status {} of {} on {}", http.status, quote(http.path), http.port.to_string());
  }
  std::string operator()(const WaitFor::Listening& listening) const {
    return fmt::format("a listener on {}", listening.port.to_string());
  }
};

}  // namespace

std::string ContainerPort::to_string() const {
  return fmt::format("{}/{}", number, hostnet::to_string(protocol));
}

std::string WaitFor::to_string() const { return std::visit(Words{}, condition_); }

}  // namespace hostnet
