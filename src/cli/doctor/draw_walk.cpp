// Draws the steps of a packet: a gutter that breaks where it stops.
#include "cli/doctor/walk.hpp"
#include "cli/layout.hpp"
#include "core/strings.hpp"
#include "hostnet/exposer.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hostnet::cli::doctor {
namespace {

// Below this width the findings stand under the names of their steps.
constexpr std::size_t kNarrow = 60;
constexpr std::size_t kNameWidth = 10;

std::string last_line(const WalkFacts& facts, const std::vector<Check>& steps) {
  if (const auto stop = stops_at(steps); !stop.empty()) return "it stops at: " + stop;
  if (const auto unseen = unseen_steps(facts, steps); !unseen.empty())
    return fmt::format("not known to be open: {} cannot be seen", list_of(unseen));
  if (facts.inside && !facts.inside->dialled)
    return "every step is in place; over UDP only the service can confirm that";
  return "the way is open, as far as doctor can see";
}

}  // namespace

std::vector<Text> draw_walk(const WalkFacts& facts, const std::vector<Check>& steps, std::size_t width) {
  std::vector<Text> lines;
  // `first` begins the text's first line, `rest` the others.
  const auto add = [&](const Text& first, const Text& rest, std::string_view text, bool strong = false) {
    const auto columns = width > rest.width() + 8 ? width - rest.width() : width == 0 ? 0 : 8;
    bool begun = false;
    for (const auto& part : wrap(text, columns)) {
      lines.push_back((begun ? rest : first) + (strong ? paint(Tone::strong, part) : Text(part)));
      begun = true;
    }
  };
  add("", "  ", fmt::format("{} → {}:{}", facts.alias.container, kAlias, facts.port.container), true);
  const bool narrow = width != 0 && width < kNarrow;
  const std::string indent(narrow ? 2 : kNameWidth + 3, ' ');
  bool stopped = false;
  for (const auto& step : steps) {
    const bool stop = !stopped && step.status == Status::fail;
    const auto* const way = stop ? "╳" : stopped ? "┊" : "│";
    stopped |= stop;
    const Text head = Text(fmt::format(" {} ", way)) + mark(step.status);
    const Text gutter = fmt::format(" {} {}", stopped ? "┊" : "│", indent);
    if (narrow) {
      lines.push_back(head + " " + step.name);
      add(gutter, gutter, step.finding);
    } else {
      add(head + fmt::format(" {:<{}} ", step.name, kNameWidth), gutter, step.finding);
    }
    if (!step.mend.empty()) add(gutter + "→ ", gutter + "  ", step.mend, true);
  }
  const auto last = last_line(facts, steps);
  const bool unseen = !unseen_steps(facts, steps).empty();
  const auto sign = stopped  ? paint(Tone::bad, " ✗ ")
                    : unseen ? paint(Tone::doubtful, " ? ")
                             : paint(Tone::good, " ▼ ");
  const auto tone = stopped ? Tone::bad : unseen ? Tone::doubtful : Tone::good;
  bool begun = false;
  for (const auto& part : wrap(last, width > 12 ? width - 3 : width == 0 ? 0 : 8)) {
    lines.push_back((begun ? Text("   ") : sign) + paint(tone, part));
    begun = true;
  }
  return lines;
}

}  // namespace hostnet::cli::doctor
