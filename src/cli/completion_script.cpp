// `tc-hostnet completion`: prints the script that a shell needs to complete the command's words.
#include "cli/command.hpp"
#include "cli/completion_scripts.hpp"
#include "cli/layout.hpp"
#include "cli/output.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::cli {
namespace {

struct Script {
  std::string_view shell;
  std::string_view text;
};
constexpr std::array kScripts{Script{"bash", kBashCompletion}, Script{"zsh", kZshCompletion},
                              Script{"fish", kFishCompletion}};

}  // namespace

Action define_completion(Arguments& arguments) {
  const auto shell = std::make_shared<std::string>();
  std::vector<std::string> shells;
  for (const auto& script : kScripts) shells.emplace_back(script.shell);
  arguments.choice("SHELL", *shell, shells, "", "bash, zsh or fish");
  arguments.footer(
      "The packages install these scripts. To try one: source <(tc-hostnet completion bash), the same for "
      "zsh, or "
      "tc-hostnet completion fish | source.");
  arguments.example("tc-hostnet completion bash");
  return [shell](const Globals&) {
    const auto* const script = std::ranges::find(kScripts, *shell, &Script::shell);
    if (script == kScripts.end())
      throw Error(Errc::invalid_argument, "no shell is named",
                  "give bash, zsh or fish: tc-hostnet completion bash");
    auto text = script->text;
    text.remove_suffix(1);  // the last line end, which print() adds
    std::vector<Text> lines;
    for (const auto line : split(text, '\n')) lines.emplace_back(line);
    print(join_lines(lines));
    return 0;
  };
}

}  // namespace hostnet::cli
