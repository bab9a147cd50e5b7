// Sections with a heading; options in two columns, or below each other on a narrow terminal.
#include "cli/help.hpp"

#include "cli/layout.hpp"
#include "core/join.hpp"
#include "core/strings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace hostnet::cli {
namespace {

constexpr std::size_t kNarrow = 60;       // below it, descriptions stand under their names
constexpr std::size_t kWidestLabel = 26;  // a longer one has a line of its own
constexpr std::size_t kWidest = 100;      // for the eye
constexpr const char* kExitCodes =
    "Exit codes: 0 ok, 1 failure, 2 usage, 3 no usable path, 4 not authorised, 5 needs interaction, 6 not "
    "found, "
    "7 not listening, 8 conflict or quota.";
constexpr const char* kRunExitCodes =
    "Exit codes: the command's own; 128 + N if signal N ended it; 125 if tc-hostnet failed, also for a wrong "
    "command "
    "line; 126 if the command cannot be run; 127 if it does not exist.";

using Entry = std::pair<std::string, std::string>;  // what is typed, and what it means

class Page {
 public:
  explicit Page(std::size_t width) : width_(std::min(width, kWidest)) {}

  void paragraph(const Text& text) {
    gap();
    lines_.push_back(hang("", text, 0, width_));
  }

  void section(const char* heading, const std::vector<Entry>& entries) {
    if (entries.empty()) return;
    gap();
    lines_.push_back(paint(Tone::strong, heading));
    std::size_t label = 0;
    for (const auto& [left, right] : entries)
      if (left.size() <= kWidestLabel) label = std::max(label, left.size());
    for (const auto& [left, right] : entries) {
      const auto column = width_ < kNarrow ? 6 : label + 4;
      auto head = "  " + left;
      if (head.size() + 2 > column) {
        lines_.emplace_back(head);
        head.clear();
      }
      lines_.push_back(hang(head + std::string(column - head.size(), ' '), right, column, width_));
    }
  }

  void examples(const std::vector<std::string>& commands) {
    if (commands.empty()) return;
    gap();
    lines_.push_back(paint(Tone::strong, commands.size() > 1 ? "Examples:" : "Example:"));
    for (const auto& command : commands) lines_.push_back(command_line(command, width_));
  }

  void usage(const std::string& form) {
    gap();
    lines_.push_back(hang(paint(Tone::strong, "Usage:") + " ", form, 4, width_));
  }

  // Each line ends itself; print() ends the last.
  [[nodiscard]] Text text() const { return join_lines(lines_); }

 private:
  void gap() {
    if (!lines_.empty()) lines_.emplace_back("");
  }

  std::size_t width_;
  std::vector<Text> lines_;
};

std::string meaning(const OptionForm& option) {
  return option.environment.empty() ? option.help : fmt::format("{} [${}]", option.help, option.environment);
}

std::vector<Entry> entries_of(const std::vector<OptionForm>& options, bool positional) {
  std::vector<Entry> out;
  for (const auto& option : options) {
    if (option.is_positional() != positional) continue;
    auto label = join(option.names, ", ");
    if (positional) label = option.metavar + (option.repeatable ? "..." : "");
    // Names without a short one line up with those that have one.
    if (!positional && option.names.size() == 1) label = "    " + label;
    if (!positional && !option.metavar.empty()) label += " " + option.metavar;
    out.emplace_back(std::move(label), meaning(option));
  }
  return out;
}

// A footer has its paragraphs apart by an empty line, and its line ends have no meaning.
void add_footer(Page& page, const std::string& footer) {
  std::string paragraph;
  const auto end = [&] {
    if (!paragraph.empty()) page.paragraph(paragraph);
    paragraph.clear();
  };
  for (const auto line : split(footer, '\n')) {
    if (line.empty())
      end();
    else
      paragraph += (paragraph.empty() ? "" : " ") + std::string(line);
  }
  end();
}

void add_command(Page& page, const Grammar& grammar, const CommandForm& command) {
  page.paragraph(fmt::format("tc-hostnet {}: {}.", command.name, command.summary));
  page.usage(fmt::format("tc-hostnet {}{}{}", command.name, command.form.empty() ? "" : " ", command.form));
  page.section("Arguments:", entries_of(command.options, true));
  page.section("Options:", entries_of(command.options, false));
  page.section("Options of every command:", entries_of(grammar.globals, false));
  add_footer(page, command.footer);
  page.paragraph(command.name == "run" ? kRunExitCodes : kExitCodes);
  page.examples(command.examples);
}

void add_overview(Page& page, const Grammar& grammar) {
  page.paragraph(grammar.summary);
  page.usage("tc-hostnet COMMAND [OPTION]...");
  std::vector<Entry> commands;
  for (const auto& command : grammar.commands) commands.emplace_back(command.name, command.summary);
  page.section("Commands:", commands);
  page.section("Options of every command:", entries_of(grammar.globals, false));
  page.paragraph("Containers reach the host as host.testcontainers.internal.");
  page.paragraph(kExitCodes);
  page.paragraph("`run` gives its command's own, or 125 (tc-hostnet failed), 126 or 127.");
  page.examples({"sudo tc-hostnet expose 8088 --network web", "sudo tc-hostnet doctor 8088 --network web"});
  page.paragraph("See also: tc-hostnet help COMMAND, man tc-hostnet");
}

json::Value to_json(const std::vector<OptionForm>& options) {
  auto list = json::array();
  for (const auto& option : options) {
    const auto or_null = [](const std::string& text) {
      return text.empty() ? std::nullopt : std::optional(text);
    };
    list.push_back({{"names", option.is_positional() ? std::vector<std::string>{} : option.names},
                    {"value", or_null(option.metavar)},
                    {"help", option.help},
                    {"environment", or_null(option.environment)},
                    {"choices", option.choices},
                    {"required", option.required},
                    {"repeatable", option.repeatable}});
  }
  return list;
}

}  // namespace

json::Value help_to_json(const Grammar& grammar, const CommandForm* command) {
  auto commands = json::array();
  for (const auto& one : grammar.commands) {
    if (command != nullptr && command->name != one.name) continue;
    commands.push_back(
        {{"name", one.name},
         {"usage", fmt::format("tc-hostnet {}{}{}", one.name, one.form.empty() ? "" : " ", one.form)},
         {"summary", one.summary},
         {"options", to_json(one.options)},
         {"examples", one.examples}});
  }
  return {
      {"summary", grammar.summary}, {"options", to_json(grammar.globals)}, {"commands", std::move(commands)}};
}

Text help_text(const Grammar& grammar, const CommandForm* command, std::size_t width) {
  Page page(width == 0 ? 80 : width);
  if (command != nullptr)
    add_command(page, grammar, *command);
  else
    add_overview(page, grammar);
  return page.text();
}

}  // namespace hostnet::cli
