// Writes to the terminal and to pipes.
#include "cli/output.hpp"

#include "core/printable.hpp"
#include "core/strings.hpp"
#include "hostnet/log.hpp"

#include <unistd.h>

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

void write_line(std::FILE* stream, std::string whole) {
  whole += '\n';
  const bool written =
      std::fwrite(whole.data(), 1, whole.size(), stream) == whole.size() && std::fflush(stream) == 0;
  if (!written && stream == stdout) throw Error::from_errno("write to standard output", errno);
}

}  // namespace

Text::Text(std::string_view plain)
    : text_(printable(plain)),
      // Continuation bytes of UTF-8 take no column.
      width_(
          static_cast<std::size_t>(std::ranges::count_if(text_, [](char c) { return (c & 0xc0) != 0x80; }))) {
}

Text& Text::operator+=(const Text& more) {
  text_ += more.text_;
  width_ += more.width_;
  return *this;
}

void set_up_output(const Globals& globals) {
  state = {.quiet = globals.quiet,
           .colour_out = shows_colour(STDOUT_FILENO, globals.color),
           .colour_err = shows_colour(STDERR_FILENO, globals.color)};
  const auto least = globals.quiet ? LogLevel::error : globals.verbose ? LogLevel::debug : LogLevel::warning;
  set_log_sink([least](LogLevel level, std::string_view line) {
    const bool demoted = level == LogLevel::warning && state.is_detail != nullptr && state.is_detail(line);
    if ((demoted ? LogLevel::debug : level) < least) return;
    const char* const word = level == LogLevel::error     ? "error: "
                             : level == LogLevel::warning ? "warning: "
                                                          : "";
    write_line(stderr, (Text("tc-hostnet: ") + word + line).str());
  });
}

void demote_warnings(bool (*detail)(std::string_view line)) { state.is_detail = detail; }

void demote_ends() {
  demote_warnings([](std::string_view line) {
    return line.starts_with("lease ") && (line.find(" released: ") != std::string_view::npos ||
                                          line.find(" failed: ") != std::string_view::npos);
  });
}

void print_error(const Error& error) {
  Text line = Text("tc-hostnet: ") + error.what();
  if (!error.hint().empty()) line += Text("; ") + error.hint();
  write_line(stderr, line.str());
}

void say(const Text& line) {
  if (!state.quiet) write_line(stderr, line.str());
}

void print(const Text& line) { write_line(stdout, line.str()); }

void print_json(json::Value object) {
  object["schema"] = 1;
  write_line(stdout, printable_json(object.dump()));
}

Text paint(Tone tone, const Text& text, bool to_stderr) {
  if (!(to_stderr ? state.colour_err : state.colour_out)) return text;
  const char* const code = tone == Tone::good       ? "32"
                           : tone == Tone::bad      ? "31"
                           : tone == Tone::doubtful ? "33"
                           : tone == Tone::strong   ? "1"
                                                    : "2";
  Text painted = text;
  painted.text_ = fmt::format("\x1b[{}m{}\x1b[0m", code, text.text_);
  return painted;
}

}  // namespace hostnet::cli
