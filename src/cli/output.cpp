// Writing to the terminal, to pipes, and to people.
#include "cli/output.hpp"

#include "hostnet/log.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace hostnet::cli {
namespace {

struct State {
  bool quiet = false;
  bool colour_out = false;
  bool colour_err = false;
  bool (*is_detail)(std::string_view) = nullptr;
};
State state;

bool shows_colour(int fd, const std::string& wanted) {
  if (wanted != "auto") return wanted == "always";
  const auto set = [](const char* name) {
    const char* const value = std::getenv(name);
    return value != nullptr && *value != '\0';
  };
  const char* const terminal = std::getenv("TERM");
  if (set("NO_COLOR") || set("CI") || (terminal != nullptr && std::string_view(terminal) == "dumb"))
    return false;
  return ::isatty(fd) != 0;
}

void write_line(std::FILE* stream, const std::string& line) {
  const std::string whole = line + '\n';
  const bool written =
      std::fwrite(whole.data(), 1, whole.size(), stream) == whole.size() && std::fflush(stream) == 0;
  if (!written && stream == stdout) throw Error::from_errno("write to standard output", errno);
}

// Counts characters, not bytes: continuation bytes of UTF-8 take no column.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

void set_up_output(const Globals& globals) {
  state = {.quiet = globals.quiet,
           .colour_out = shows_colour(STDOUT_FILENO, globals.color),
           .colour_err = shows_colour(STDERR_FILENO, globals.color)};
  const auto least = globals.quiet         ? LogLevel::error
                     : globals.verbose > 0 ? LogLevel::debug
                                           : LogLevel::warning;
  set_log_sink([least](LogLevel level, std::string_view line) {
    const bool demoted = level == LogLevel::warning && state.is_detail != nullptr && state.is_detail(line);
    if ((demoted ? LogLevel::debug : level) < least) return;
    const char* const word = level == LogLevel::error     ? "error: "
                             : level == LogLevel::warning ? "warning: "
                                                          : "";
    write_line(stderr, fmt::format("tc-hostnet: {}{}", word, line));
  });
}

void demote_warnings(bool (*detail)(std::string_view line)) { state.is_detail = detail; }

void print_error(const Error& error) {
  std::string line = fmt::format("tc-hostnet: {}", error.what());
  if (!error.hint().empty()) line += fmt::format("; {}", error.hint());
  write_line(stderr, one_line(std::move(line)));
}

void say(const std::string& line) {
  if (!state.quiet) write_line(stderr, line);
}

void print(const std::string& line) { write_line(stdout, line); }

void print_json(json::Value object) {
  object["schema"] = 1;
  print(object.dump());
}

std::string one_line(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return text;
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    if (!out.empty()) out += '\n';
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out += std::string(widths[i] - width(row[i]) + 2, ' ');
    }
  }
  return out;
}

std::string paint(Tone tone, const std::string& text, bool to_stderr) {
  if (!(to_stderr ? state.colour_err : state.colour_out)) return text;
  const char* const code = tone == Tone::good       ? "32"
                           : tone == Tone::bad      ? "31"
                           : tone == Tone::doubtful ? "33"
                           : tone == Tone::strong   ? "1"
                                                    : "2";
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

}  // namespace hostnet::cli
