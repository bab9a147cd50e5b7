// Reads the words of runc and crun, which the engines pass on.
//
//   runc   exec: "nosuch": executable file not found in $PATH
//   runc   exec: "/no/such": stat /no/such: no such file or directory
//   runc   exec: "/etc/hosts": permission denied; exec: "/etc": is a directory
//   crun   executable file `nosuch` not found in $PATH: No such file or directory
//   crun   open executable: Permission denied
//   runc   chdir to cwd ("/nowhere") set in config.json failed: no such file or directory
#include "cli/start_failure.hpp"

#include "core/strings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>

namespace hostnet::cli {
namespace {

constexpr int kCannotRun = 126;
constexpr int kNoProgram = 127;

std::string lower_case(std::string text) {  // the runtimes differ in the case
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

// Between the first `before` and the next `after`; empty without them.
std::string_view between(std::string_view text, std::string_view before, std::string_view after) {
  const auto start = text.find(before);
  if (start == std::string_view::npos) return {};
  text.remove_prefix(start + before.size());
  const auto end = text.find(after);
  return end == std::string_view::npos ? std::string_view{} : text.substr(0, end);
}

// The program, which is not the command's first word if the image has an entry point.
std::string program_in(std::string_view words, const std::vector<std::string>& command) {
  auto named = between(words, "exec: \"", "\": ");
  if (named.empty()) named = between(words, "executable file `", "` not found");
  if (!named.empty()) return std::string(named);
  return command.empty() ? std::string() : command.front();
}

}  // namespace

std::optional<StartFailure> start_failure(const Error& error, const std::string& image,
                                          const std::vector<std::string>& command) {
  const std::string words = error.what();
  const auto low = lower_case(words);
  const auto says = [&](std::initializer_list<std::string_view> parts) {
    return std::ranges::any_of(parts, [&](auto part) { return low.find(part) != std::string::npos; });
  };
  // The folder or a mount is the fault, not the program.
  if (says({"chdir to cwd", "mounting ", "error mounting"})) return std::nullopt;
  const auto program = program_in(words, command);
  const auto what = program.empty() ? "its program" : quote(program);
  if (says({"executable file not found", "not found in $path", "no such file or directory"}))
    return StartFailure{
        kNoProgram,
        Error(Errc::not_found,
              program.empty() ? fmt::format("image {}: the program of its command is not there", quote(image))
                              : fmt::format("image {} has no program {}", quote(image), what),
              "check the spelling, or name it by its path in the image")};
  const char* const why = says({"is a directory"})      ? "it is a directory"
                          : says({"exec format error"}) ? "it is not a program for this machine"
                          : says({"permission denied"}) ? "permission denied"
                                                        : nullptr;
  if (why == nullptr) return std::nullopt;
  return StartFailure{
      kCannotRun, Error(Errc::failure, fmt::format("image {}: {} cannot be run: {}", quote(image), what, why),
                        "name an executable file, or a shell: sh -c '…'")};
}

}  // namespace hostnet::cli
