// Reads the lines of progress, and the one that reports an error.
#include "engine/pull.hpp"

#include "core/log.hpp"
#include "core/strings.hpp"
#include "engine/json_reader.hpp"
#include "engine/parse.hpp"
#include "engine/registry_login.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <utility>

namespace hostnet::engine {
namespace {

constexpr std::size_t kLongestObject = 1U << 20;
constexpr std::size_t kLongestShown = 400;

std::string bytes(std::int64_t count) {
  constexpr std::int64_t mega = 1'000'000;
  return count < mega ? fmt::format("{} kB", count / 1000) : fmt::format("{} MB", count / mega);
}

struct Amounts {
  std::optional<std::int64_t> current;
  std::optional<std::int64_t> total;
};

Amounts amounts_of(const JsonReader& object) {
  const auto detail = object.maybe("progressDetail");
  const auto current = detail ? detail->maybe("current") : std::nullopt;
  const auto total = detail ? detail->maybe("total") : std::nullopt;
  Amounts out;
  if (current) out.current = current->integer(0, INT64_MAX);
  if (current && total)
    if (const auto all = total->integer(-1, INT64_MAX); all > 0) out.total = all;
  return out;
}

// " 12 MB of 40 MB", as far as the engine reports it.
std::string to_text(const Amounts& amounts) {
  std::string text;
  if (amounts.current) text = " " + bytes(*amounts.current);
  if (amounts.total) text += " of " + bytes(*amounts.total);
  return text;
}

PullDisplay& pull_display() {
  static auto* const display = new PullDisplay;  // never destroyed: a pull may be going on at the exit
  return *display;
}

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_alnum(char c) { return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z'); }

// Whether the name's first component is a registry, as Docker and Podman see it.
bool is_registry(std::string_view first) {
  return first.find_first_of(".:") != std::string_view::npos || first == "localhost" ||
         std::ranges::any_of(first, [](char c) { return c >= 'A' && c <= 'Z'; });
}

bool is_registry_name(std::string_view name) {
  return std::ranges::all_of(name, [](char c) {
    return is_alnum(c) || std::string_view(".-:[]").find(c) != std::string_view::npos;
  });
}

bool is_component(std::string_view part) {
  return !part.empty() && is_lower_or_digit(part.front()) && is_lower_or_digit(part.back()) &&
         std::ranges::all_of(part, [](char c) {
           return is_lower_or_digit(c) || std::string_view("._-").find(c) != std::string_view::npos;
         });
}

// What is wrong with the name of a repository; empty if nothing. The rules of distribution/reference, without those for
// separators in a row.
std::string_view fault_of_repository(std::string_view name) {
  if (const auto slash = name.find('/');
      slash != std::string_view::npos && is_registry(name.substr(0, slash))) {
    if (!is_registry_name(name.substr(0, slash)))
      return "a registry's name is a host name, with or without a port";
    name.remove_prefix(slash + 1);
  }
  for (const auto part : split(name, '/'))
    if (!is_component(part))
      return "a repository's name has lower-case letters and digits, and . _ - between them";
  return {};
}

std::string_view fault_of_tag(std::string_view tag) {
  constexpr std::size_t longest = 128;
  const bool fits = tag.size() <= longest && tag.front() != '.' && tag.front() != '-' &&
                    std::ranges::all_of(tag, [](char c) {
                      return is_alnum(c) || std::string_view("._-").find(c) != std::string_view::npos;
                    });
  return fits ? std::string_view{} : "a tag has letters, digits, . _ and -";
}

std::string_view fault_of_digest(std::string_view digest) {
  const auto colon = digest.find(':');
  const bool fits = colon != std::string_view::npos && colon > 0 && colon + 1 < digest.size() &&
                    std::ranges::all_of(digest.substr(colon + 1), [](char c) {
                      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                    });
  return fits ? std::string_view{} : "behind @ there is a digest, as in @sha256:…";
}

// The position of the colon before the tag, or npos. One before the last slash belongs to the registry's port.
std::size_t colon_of_tag(std::string_view name) {
  const auto colon = name.rfind(':');
  const auto slash = name.rfind('/');
  const bool is_port = slash != std::string_view::npos && colon != std::string_view::npos && colon < slash;
  return is_port ? std::string_view::npos : colon;
}

// Docker writes both members, Podman only the first.
std::string failure(const JsonReader& object) {
  if (auto words = object.string_or_empty("error"); !words.empty()) return words;
  const auto detail = object.maybe("errorDetail");
  return detail ? detail->string_or_empty("message") : std::string{};
}

}  // namespace

ImageName ImageName::parse(std::string_view reference) {
  const auto at = reference.find('@');
  const auto named = reference.substr(0, at);
  const auto colon = colon_of_tag(named);
  const auto tag = colon != std::string_view::npos ? named.substr(colon + 1) : std::string_view("latest");
  const auto repository = named.substr(0, colon);
  std::string_view fault;
  if (repository.empty() || tag.empty())
    fault = "it has no name or no tag";
  else if (fault = fault_of_repository(repository); fault.empty())
    if (fault = fault_of_tag(tag); fault.empty() && at != std::string_view::npos)
      fault = fault_of_digest(reference.substr(at + 1));
  if (!fault.empty())
    throw Error(Errc::invalid_argument,
                fmt::format("{} is not the name of an image: {}", quote(reference), fault),
                "name it as in alpine:3.19");
  // With a digest, a tag is a part of the repository's name for the engine.
  if (at != std::string_view::npos) return {std::string(named), std::string(reference.substr(at + 1))};
  return {std::string(repository), std::string(tag)};
}

void PullTally::add(const std::string& layer, std::string_view status, std::optional<std::int64_t> current,
                    std::optional<std::int64_t> total) {
  constexpr std::size_t most = 1000;
  // "3.19: Pulling from library/alpine" has the tag where others have a layer.
  if (layer.empty() || status.starts_with("Pulling from")) return;
  if (layers_.size() >= most && !layers_.contains(layer)) return;
  auto& known = layers_[layer];
  // Unpacking has a count of its own, of the same bytes.
  if (status.starts_with("Downloading") || status.starts_with("Copying")) {
    known.current = current.value_or(known.current);
    known.total = total.value_or(known.total);
  }
  if (status.starts_with("Download complete")) known.current = known.total;
  if (status.starts_with("Pull complete") || status.starts_with("Already exists")) {
    known.current = known.total;
    known.done = true;
  }
}

std::string PullTally::text() const {
  if (layers_.empty()) return {};
  std::int64_t current = 0;
  std::int64_t total = 0;
  for (const auto& [id, layer] : layers_) {
    current += std::min(layer.current, INT64_MAX / 2 - current);
    total += std::min(std::max(layer.total, layer.current), INT64_MAX / 2 - total);
  }
  const auto done = std::ranges::count_if(layers_, [](const auto& layer) { return layer.second.done; });
  return fmt::format("{} of {} layers, {} of {}", done, layers_.size(), bytes(current), bytes(total));
}

void set_pull_display(PullDisplay display) { pull_display() = std::move(display); }

std::optional<std::string> PullReport::due(const PullTally& tally, bool on_display, Clock::time_point now) {
  using namespace std::chrono_literals;
  const auto period = on_display ? Clock::duration(100ms) : Clock::duration(1min);
  const bool at_once = on_display && first_;
  if (!at_once && now - last_ < period) return std::nullopt;
  first_ = false;
  last_ = now;
  const auto text = tally.text();
  return fmt::format("pulling {}{}{}", reference_, text.empty() ? "" : ": ", text);
}

std::string pull_hint(std::string_view reference, std::string_view words, const char* command) {
  std::string low(words);
  std::ranges::transform(low, low.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const auto says = [&](std::initializer_list<std::string_view> parts) {
    return std::ranges::any_of(parts, [&](auto part) { return low.find(part) != std::string::npos; });
  };
  const auto registry = registry_of(reference);
  if (says({"no such host", "dial tcp", "connection refused", "timeout", "deadline exceeded", "timed out",
            "x509", "tls:", "network is unreachable", "no route to host", "server gave http response",
            "temporary failure"}))
    return fmt::format(
        "the engine does not reach {}: check its network, proxy and certificates, or {} load the image",
        registry, command);
  if (says({"unauthorized", "authentication required", "denied", "no basic auth", "forbidden"}))
    return fmt::format("check the name {}, or log in: {} login {}", quote(reference), command,
                       shell_word(registry));
  if (says({"manifest unknown", "not found", "name unknown", "does not exist", "no such image", "unknown: "}))
    return fmt::format("{} does not have it: check name and tag of {}, or {} load the image", registry,
                       quote(reference), command);
  return fmt::format("check the name {} and what the engine says, or {} load the image", quote(reference),
                     command);
}

// Tells the progress of one pull where the process shows it.
PullTeller::PullTeller(std::string reference) : report_(std::move(reference), PullReport::Clock::now()) {}

PullTeller::~PullTeller() {
  try {
    if (told_ && pull_display()) pull_display()("");
  } catch (const std::exception&) {
    // The next message is behind the line instead of in its place.
  }
}

void PullTeller::tell(const PullTally& tally) {
  const auto& display = pull_display();
  const auto line = report_.due(tally, static_cast<bool>(display), PullReport::Clock::now());
  if (!line) return;
  told_ = true;
  if (display)
    display(*line);
  else
    log::warn("{}", *line);
}

void PullReader::feed(std::string_view piece) {
  while (!piece.empty()) {
    const auto end = std::min(piece.find('\n'), piece.size());
    if (line_.size() + end > kLongestObject)
      throw Error(Errc::engine_error,
                  "the engine's report on a pull makes no sense: an object without an end");
    line_ += piece.substr(0, end);
    if (end == piece.size()) return;
    take_line();
    piece.remove_prefix(end + 1);
  }
}

void PullReader::finish() { take_line(); }

void PullReader::take_line() {
  const auto line = std::exchange(line_, {});
  if (trim(line).empty()) return;
  const auto tree = parse_json(line);
  const JsonReader object(tree);
  if (const auto words = failure(object); !words.empty())
    throw Error(Errc::engine_error,
                fmt::format("{} cannot be pulled: {}", quote(reference_), one_line(words, kLongestShown)));
  const auto id = object.string_or_empty("id");
  auto status = object.string_or_empty("status");
  const auto amounts = amounts_of(object);
  tally_.add(id, status, amounts.current, amounts.total);
  if (status.empty() || !progress_) return;
  if (!id.empty()) status = fmt::format("{}: {}", id, status);
  progress_(one_line(status + to_text(amounts), kLongestShown));
}

}  // namespace hostnet::engine
