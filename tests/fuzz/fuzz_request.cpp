// Feeds arbitrary bytes as user input (port, name, bridge, duration) and as a container's hosts file; the
// functions must keep their promises.
#include "cli/request_options.hpp"
#include "engine/hosts_file.hpp"
#include "engine/url.hpp"
#include "hostnet/error.hpp"
#include "hostnet/port.hpp"
#include "target/interface_name.hpp"

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

using namespace hostnet;
using namespace hostnet::engine;

namespace {

void require(bool promise) {
  if (!promise) std::abort();
}

void port(std::string_view text) {
  try {
    const auto port = HostPort::parse(text);
    require((port.host != 0) == port.socket.empty() && port.container != 0);
    require(HostPort::parse(port.to_string()) == port);
  } catch (const Error& error) {
    require(error.code() == Errc::invalid_argument);
  }
  try {
    const auto ports = HostPort::parse_range(text);
    require(!ports.empty() && ports.size() <= HostPort::kMostInRange);
    require(HostPort::parse(ports.back().to_string()) == ports.back());
  } catch (const Error& error) {
    require(error.code() == Errc::invalid_argument);
  }
}

void hosts(std::string_view text) {
  constexpr std::string_view alias = "host.testcontainers.internal";
  const Ipv4 address{0x0a010203};
  const auto clean = without_alias(text, "L1");
  require(without_alias(clean, "L1") == clean);
  const auto added = with_alias(clean, alias, address, "L1");
  require(added.starts_with(clean));
  require(defines(added, alias));
  require(foreign_definition(added, alias) == foreign_definition(clean, alias));
  require(without_alias(added, "L1").starts_with(clean));
  require(with_alias(added, alias, address, "L1") == added);
}

void name(std::string_view text) {
  try {
    const auto segment = path_segment(text);
    require(segment.find_first_of("/?#\\ ") == std::string::npos && segment != "." && segment != "..");
  } catch (const Error& error) {
    require(text.empty() && error.code() == Errc::invalid_argument);
  }
  try {
    const auto line = alias_line(text, Ipv4{0x0a010203}, "L1");
    require(defines(line, text) && !foreign_definition(line, text) && without_alias(line, "L1").empty());
  } catch (const Error& error) {
    require(error.code() == Errc::invalid_argument);
  }
}

// Accepted names go into paths, rules and listings, and must have no other meaning there.
void bridge(std::string_view text) {
  if (exposer::interface_name_fault(text)) return;
  require(!text.empty() && text.size() <= 15 && text != "." && text != ".." && text.front() != '-');
  for (const char letter : text)
    require((letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
            (letter >= '0' && letter <= '9') || letter == '-' || letter == '_' || letter == '.' ||
            letter == ':' || letter == '@');
}

void span(std::string_view text) {
  try {
    const auto span = cli::parse_span(text);
    require(span >= std::chrono::seconds{1} && span <= std::chrono::hours{30 * 24});
    require(cli::parse_span(std::to_string(span.count())) == span);
  } catch (const Error& error) {
    require(error.code() == Errc::invalid_argument);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  port(text);
  hosts(text);
  name(text);
  bridge(text);
  span(text);
  return 0;
}
