// Writes to the terminal and to pipes.
#include "cli/output.hpp"

#include "core/printable.hpp"
#include "core/strings.hpp"
#include "engine/pull.hpp"
#include "hostnet/log.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string_view>
#include <utility>

namespace hostnet::cli {
namespace {

struct State {
  bool json = false;
  bool quiet = false;
  bool colour_out = false;
  bool colour_err = false;
  bool (*is_detail)(std::string_view) = nullptr;
};
State state;

bool is_dumb_terminal() {
  const char* const terminal = std::getenv("TERM");
  return terminal != nullptr && std::string_view(terminal) == "dumb";
}

bool shows_colour(int fd, const std::string& wanted) {
  if (wanted != "auto") return wanted == "always";
  const auto set = [](const char* name) {
    const char* const value = std::getenv(name);
    return value != nullptr && *value != '\0';
  };
  if (set("NO_COLOR") || set("CI") || is_dumb_terminal()) return false;
  return ::isatty(fd) != 0;
}

// Guards standard error: messages come from several threads, and remove a status line.
std::mutex& stderr_mutex() {
  static auto* const mutex = new std::mutex;
  return *mutex;
}
constexpr std::string_view kClearLine = "\r\x1b[K";
bool status_shown = false;

void write_line(std::FILE* stream, std::string whole) {
  std::unique_lock lock(stderr_mutex(), std::defer_lock);
  if (stream == stderr) {
    lock.lock();
    if (std::exchange(status_shown, false)) whole.insert(0, kClearLine);
  }
  whole += '\n';
  const bool written =
      std::fwrite(whole.data(), 1, whole.size(), stream) == whole.size() && std::fflush(stream) == 0;
  if (!written && stream == stdout) throw Error::from_errno("write to standard output", errno);
}

const char* name_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      break;
  }
  return "error";
}

void write_object(std::FILE* stream, json::Value object) {
  object["schema"] = 1;
  write_line(stream, printable_json(object.dump()));
}

void write_message(LogLevel level, std::string_view line) {
  if (state.json) return write_object(stderr, {{"level", name_of(level)}, {"message", line}});
  const char* const word = level == LogLevel::error     ? "error: "
                           : level == LogLevel::warning ? "warning: "
                                                        : "";
  write_line(stderr, (Text("tc-hostnet: ") + word + line).str());
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
  state = {.json = globals.json,
           .quiet = globals.quiet,
           .colour_out = shows_colour(STDOUT_FILENO, globals.color),
           .colour_err = shows_colour(STDERR_FILENO, globals.color)};
  const bool draws = ::isatty(STDERR_FILENO) != 0 && !globals.json && !globals.quiet && !is_dumb_terminal();
  engine::set_pull_display(draws ? engine::PullDisplay(show_status_line) : nullptr);
  const auto least = globals.quiet ? LogLevel::error : globals.verbose ? LogLevel::debug : LogLevel::warning;
  set_log_sink([least](LogLevel level, std::string_view line) {
    const bool demoted = level == LogLevel::warning && state.is_detail != nullptr && state.is_detail(line);
    if ((demoted ? LogLevel::debug : level) >= least) write_message(level, line);
  });
}

void demote_warnings(bool (*detail)(std::string_view line)) { state.is_detail = detail; }

void demote_ends() {
  demote_warnings([](std::string_view line) {
    if (line.starts_with("the ssh session is lost for good: ")) return true;
    return line.starts_with("lease ") && (line.find(" released: ") != std::string_view::npos ||
                                          line.find(" failed: ") != std::string_view::npos);
  });
}

void print_error(const Error& error, std::optional<int> exit_code) {
  if (state.json) {
    json::Value object{{"level", name_of(LogLevel::error)},
                       {"error", to_string(error.code())},
                       {"message", error.what()},
                       {"hint", error.hint().empty() ? std::nullopt : std::optional(error.hint())}};
    if (exit_code) object["exit_code"] = *exit_code;
    return write_object(stderr, std::move(object));
  }
  Text line = Text("tc-hostnet: ") + error.what();
  if (!error.hint().empty()) line += Text("; ") + error.hint();
  write_line(stderr, line.str());
}

void say(const Text& line) {
  if (state.quiet) return;
  if (state.json) return write_object(stderr, {{"level", name_of(LogLevel::info)}, {"message", line.str()}});
  write_line(stderr, line.str());
}

void show_status_line(std::string_view line) {
  const std::lock_guard lock(stderr_mutex());
  if (line.empty() && !status_shown) return;
  status_shown = !line.empty();
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  const auto whole =
      std::string(kClearLine) + std::string(beginning(Text(line).str(), known ? size.ws_col - 1U : 79U));
  std::fwrite(whole.data(), 1, whole.size(), stderr);
  std::fflush(stderr);
}

void print(const Text& line) { write_line(stdout, line.str()); }

void clear_screen() {
  constexpr std::string_view home_and_clear = "\x1b[H\x1b[2J";
  std::fwrite(home_and_clear.data(), 1, home_and_clear.size(), stdout);
}

void print_json(json::Value object) { write_object(stdout, std::move(object)); }

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
