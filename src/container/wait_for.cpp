// Conditions, and their text in messages.
#include "hostnet/wait_for.hpp"

#include "container/condition.hpp"
#include "core/strings.hpp"

#include <fmt/format.h>

namespace hostnet {
namespace {

struct Words {
  std::string operator()(const WaitFor::Condition::Message& message) const {
    const char* const stream = message.stream == OutputStream::out ? "stdout" : "stderr";
    const auto times = message.times == 1 ? std::string() : fmt::format(", {} times", message.times);
    return fmt::format("message {} on {}{}", quote(message.text), stream, times);
  }
  std::string operator()(const WaitFor::Condition::Duration& duration) const {
    return fmt::format("{} ms", duration.span.count());
  }
  std::string operator()(const WaitFor::Condition::Exit& exit) const {
    return exit.code ? fmt::format("end with exit code {}", *exit.code) : "end";
  }
  std::string operator()(const WaitFor::Condition::Healthy&) const { return "health"; }
  std::string operator()(const WaitFor::Condition::Http& http) const {
    return fmt::format("HTTP status {} of {} on {}", http.status, quote(http.path), http.port.to_string());
  }
  std::string operator()(const WaitFor::Condition::Listening& listening) const {
    return fmt::format("a listener on {}", listening.port.to_string());
  }
};

std::shared_ptr<const WaitFor::Condition> share(WaitFor::Condition condition) {
  return std::make_shared<const WaitFor::Condition>(std::move(condition));
}

}  // namespace

std::string ContainerPort::to_string() const {
  return fmt::format("{}/{}", number, hostnet::to_string(protocol));
}

WaitFor WaitFor::message_on_stdout(std::string text, unsigned times) {
  return WaitFor(share({Condition::Message{OutputStream::out, std::move(text), times}}));
}
WaitFor WaitFor::message_on_stderr(std::string text, unsigned times) {
  return WaitFor(share({Condition::Message{OutputStream::err, std::move(text), times}}));
}
WaitFor WaitFor::duration(std::chrono::milliseconds span) {
  return WaitFor(share({Condition::Duration{span}}));
}
WaitFor WaitFor::seconds(unsigned count) { return duration(std::chrono::seconds{count}); }
WaitFor WaitFor::exit(std::optional<int> code) { return WaitFor(share({Condition::Exit{code}})); }
WaitFor WaitFor::healthy() { return WaitFor(share({Condition::Healthy{}})); }
WaitFor WaitFor::http(std::string path, ContainerPort port, int status) {
  return WaitFor(share({Condition::Http{std::move(path), port, status}}));
}
WaitFor WaitFor::listening(ContainerPort port) { return WaitFor(share({Condition::Listening{port}})); }

std::string WaitFor::to_string() const { return std::visit(Words{}, condition_->kind); }

}  // namespace hostnet
