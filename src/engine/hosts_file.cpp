// hosts(5) text.
#include "engine/hosts_file.hpp"

#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <strings.h>

#include <algorithm>

namespace hostnet::engine {
namespace {

constexpr std::string_view kMarker = "tc-hostnet ";
constexpr std::string_view kBlanks = " \t\r\v\f";

// Of a lease: it stands in command lines that a user copies, and anyone in the container writes this file.
bool is_id(std::string_view word) {
  return !word.empty() && std::ranges::all_of(word, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
  });
}

struct Line {
  std::string_view text;     // With its newline, if any.
  std::string_view address;  // Empty for a line that defines nothing.
  std::string_view names;    // Between the address and the comment.
  std::string_view lease;    // The lease of our line; empty for a line that is not ours.
};

// Takes the next word off the front of `text`; empty at its end.
std::string_view take_word(std::string_view& text) {
  const auto begin = std::min(text.find_first_not_of(kBlanks), text.size());
  const auto end = std::min(text.find_first_of(kBlanks, begin), text.size());
  const auto word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  return word;
}

// Takes the next line off the front of `hosts`, which must not be empty.
Line take_line(std::string_view& hosts) {
  Line line;
  const auto newline = hosts.find('\n');
  line.text = hosts.substr(0, newline == std::string_view::npos ? newline : newline + 1);
  hosts.remove_prefix(line.text.size());

  const auto hash = line.text.find('#');
  line.names = trim(line.text.substr(0, hash));
  line.address = take_word(line.names);
  if (hash != std::string_view::npos && !line.address.empty()) {
    auto comment = trim(line.text.substr(hash + 1));
    if (comment.starts_with(kMarker)) {
      comment.remove_prefix(kMarker.size());
      if (is_id(comment)) line.lease = comment;
    }
  }
  return line;
}

bool is_bare(const Line& line, std::string_view alias) {
  return trim(line.names) == alias && line.text.find('#') == std::string_view::npos;
}

bool gives(const Line& line, std::string_view alias) {
  auto names = line.names;
  for (auto name = take_word(names); !name.empty(); name = take_word(names))
    if (name.size() == alias.size() && ::strncasecmp(name.data(), alias.data(), alias.size()) == 0)
      return true;
  return false;
}

bool is_name(std::string_view word) {
  return !word.empty() && std::ranges::all_of(word, [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && c != 0x7f && c != '#';
  });
}

void check_word(bool is_right, std::string_view what, std::string_view word) {
  if (!is_right)
    throw Error(Errc::invalid_argument,
                fmt::format("{} cannot be the {} in a hosts file", quote(word), what));
}

}  // namespace

std::string alias_line(std::string_view alias, Ip address, std::string_view lease) {
  check_word(is_name(alias), "alias", alias);
  check_word(is_id(lease), "lease", lease);
  return fmt::format("{}\t{} # {}{}\n", address.to_string(), alias, kMarker, lease);
}

std::optional<std::string> foreign_definition(std::string_view hosts, std::string_view alias) {
  while (!hosts.empty())
    if (const auto line = take_line(hosts); line.lease.empty() && gives(line, alias))
      return std::string(line.address);
  return std::nullopt;
}

std::optional<Definition> definition_by_others(std::string_view hosts, std::string_view alias,
                                               std::string_view lease, std::span<const std::string> beside) {
  const auto is_among = [&](std::string_view word) {
    return std::ranges::find(beside, word) != beside.end();
  };
  std::optional<Definition> found;
  while (!hosts.empty()) {
    const auto line = take_line(hosts);
    if (!gives(line, alias) || line.lease == lease) continue;
    if (line.lease.empty() ? is_bare(line, alias) && is_among(line.address) : is_among(line.lease)) continue;
    if (line.lease.empty()) return Definition{std::string(line.address), {}};
    if (!found) found = Definition{std::string(line.address), std::string(line.lease)};
  }
  return found;
}

std::vector<Definition> first_definitions(std::string_view hosts, std::string_view alias) {
  std::optional<Definition> four;
  std::optional<Definition> six;
  while (!hosts.empty()) {
    const auto line = take_line(hosts);
    const auto address = Ip::parse(line.address);
    if (!address || !gives(line, alias)) continue;
    auto& first = address->ipv4() ? four : six;
    if (!first) first = Definition{std::string(line.address), std::string(line.lease)};
  }
  std::vector<Definition> out;
  for (auto* const first : {&four, &six})
    if (*first) out.push_back(std::move(**first));
  return out;
}

bool defines(std::string_view hosts, std::string_view alias) {
  while (!hosts.empty())
    if (gives(take_line(hosts), alias)) return true;
  return false;
}

std::string with_alias(std::string_view hosts, std::string_view alias, Ip address, std::string_view lease) {
  const auto ours = alias_line(alias, address, lease);
  for (auto rest = hosts; !rest.empty();)
    if (take_line(rest).text == ours) return std::string(hosts);
  std::string out(hosts);
  if (!out.empty() && out.back() != '\n') out += '\n';
  return out + ours;
}

std::string with_marks(std::string_view hosts, std::string_view alias, Ip address, std::string_view lease) {
  const auto ours = alias_line(alias, address, lease);
  std::string out;
  while (!hosts.empty()) {
    const auto line = take_line(hosts);
    out += is_bare(line, alias) && Ip::parse(line.address) == address ? std::string_view(ours) : line.text;
  }
  return out;
}

std::string without_alias(std::string_view hosts, std::string_view lease) {
  std::string out;
  out.reserve(hosts.size());
  while (!hosts.empty())
    if (const auto line = take_line(hosts); lease.empty() || line.lease != lease) out += line.text;
  return out;
}

}  // namespace hostnet::engine
