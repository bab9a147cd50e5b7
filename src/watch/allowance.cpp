// Parses the allowance and checks ports against it.
#include "watch/allowance.hpp"

#include "core/loopback.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>

namespace hostnet::exposer {
namespace {

constexpr std::uint16_t kFirstAllowed = 1024;
constexpr std::uint16_t kLastPort = 65535;

std::uint16_t parse_port(std::string_view text, std::string_view whole) {
  const auto number = parse_number(text, kLastPort);
  if (!number || *number == 0)
    throw Error(
        Errc::invalid_argument,
        fmt::format("allowed ports {}: {} is not a port from 1 to 65535", quote(whole), quote(text)),
        "give [ADDR:]PORT or [ADDR:]FROM-TO, with /tcp or /udp for one of the two: 3000-3999,5432/tcp");
  return static_cast<std::uint16_t>(*number);
}

// covers() compares paths as text, so an allowed path must be in its one normal form.
std::string parse_socket(std::string_view text) {
  const std::filesystem::path path(text);
  const bool plain = path.is_absolute() && path.lexically_normal().native() == text && path.has_filename() &&
                     !text.starts_with("//");
  if (!plain)
    throw Error(Errc::invalid_argument,
                fmt::format("allowed socket {} is not the plain absolute path of a Unix socket", quote(text)),
                "give each socket by its path, without .. and links: --allow-socket /run/app.sock");
  return std::string(text);
}

}  // namespace

Allowance::Allowance() : ports_{{kFirstAllowed, kLastPort, std::nullopt, {}}} {}

Allowance::Range Allowance::parse_range(std::string_view text) {
  auto numbers = text;
  std::optional<Protocol> protocol;
  for (const auto known : {Protocol::tcp, Protocol::udp}) {
    const auto suffix = fmt::format("/{}", to_string(known));
    if (!numbers.ends_with(suffix)) continue;
    numbers.remove_suffix(suffix.size());
    protocol = known;
    break;
  }
  auto addressed = take_address(numbers, text);
  numbers = addressed.rest;
  const auto dash = numbers.find('-');
  const auto first = parse_port(numbers.substr(0, dash), text);
  const auto last = dash == std::string_view::npos ? first : parse_port(numbers.substr(dash + 1), text);
  if (last < first)
    throw Error(Errc::invalid_argument,
                fmt::format("allowed ports {}: the range ends before it begins", quote(text)),
                "give the smaller port first: 3000-3999");
  return {first, last, protocol, std::move(addressed.address)};
}

Allowance Allowance::parse(const std::vector<std::string>& ports, const std::vector<std::string>& sockets) {
  Allowance allowance;
  if (!ports.empty()) allowance.ports_.clear();
  for (const auto& word : ports)
    for (const auto part : split(word, ',')) allowance.ports_.push_back(parse_range(trim(part)));
  for (const auto& word : sockets)
    for (const auto part : split(word, ',')) allowance.sockets_.insert(parse_socket(trim(part)));
  return allowance;
}

bool Allowance::covers(const HostPort& port) const {
  if (!port.socket.empty()) return sockets_.contains(port.socket);
  return std::ranges::any_of(ports_, [&](const Range& range) {
    return port.address == range.address && port.host >= range.first && port.host <= range.last &&
           (!range.protocol || *range.protocol == port.protocol);
  });
}

std::vector<HostPort> Allowance::refused(const std::vector<HostPort>& ports) const {
  std::vector<HostPort> out;
  std::ranges::copy_if(ports, std::back_inserter(out), [&](const HostPort& port) { return !covers(port); });
  return out;
}

std::optional<std::string> link_in(const std::string& path) {
  std::filesystem::path walked;
  for (const auto& part : std::filesystem::path(path)) {
    walked /= part;
    std::error_code error;
    const auto status = std::filesystem::symlink_status(walked, error);
    if (status.type() == std::filesystem::file_type::not_found) return std::nullopt;
    if (error || status.type() == std::filesystem::file_type::symlink) return walked.string();
  }
  return std::nullopt;
}

}  // namespace hostnet::exposer
