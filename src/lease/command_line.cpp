// Writes command lines.
#include "lease/command_line.hpp"

#include "core/strings.hpp"

#include <fmt/format.h>

namespace hostnet::exposer {
namespace {

const char* option_of(Target::Kind kind) {
  switch (kind) {
    case Target::Kind::container:
      return "--container";
    case Target::Kind::network:
      return "--network";
    case Target::Kind::bridge:
      return "--bridge";
    case Target::Kind::netns:
      return "--netns";
  }
  return "--network";
}

}  // namespace

std::string port_word(const HostPort& port) {
  auto text = port.to_string();
  if (port.protocol == Protocol::tcp) text.resize(text.rfind('/'));
  return shell_word(text);
}

std::string expose_command(const std::vector<HostPort>& ports, const Target& target) {
  std::string line = "tc-hostnet expose";
  for (const auto& port : ports) line += " " + port_word(port);
  return fmt::format("{} {} {}", line, option_of(target.kind()), shell_word(target.name()));
}

}  // namespace hostnet::exposer
