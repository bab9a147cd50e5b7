// The command's output to a terminal.
#include "cli/lease_view.hpp"
#include "cli/output.hpp"
#include "core/file.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <regex>
#include <set>
#include <string>
#include <type_traits>

using namespace hostnet;
using namespace hostnet::cli;

namespace {

const std::string kEvil = "\x1b[31m\u009b\u202e\n\x9b";
const std::string kShown = "\\x1b[31m\\u009b\\u202e\\x0a\\x9b";

struct Coloured {
  Coloured() { set_up_output({.color = "always"}); }
  ~Coloured() { set_up_output({}); }
  Coloured(const Coloured&) = delete;
  Coloured& operator=(const Coloured&) = delete;
};

}  // namespace

TEST_CASE("plain text is escaped, and paint alone adds sequences") {
  const Coloured on;
  CHECK(Text(kEvil).str() == kShown);
  CHECK((Text("a ") + kEvil).str() == "a " + kShown);
  CHECK(paint(Tone::bad, kEvil).str() == "\x1b[31m" + kShown + "\x1b[0m");
  CHECK(("x" + paint(Tone::good, "yes") + "\x1b").str() == "x\x1b[32myes\x1b[0m\\x1b");
}

TEST_CASE("styled text does not convert to types that would lose or double its sequences") {
  CHECK_FALSE(std::is_convertible_v<Text, std::string>);
  CHECK_FALSE(std::is_convertible_v<Text, std::string_view>);
  CHECK_FALSE(fmt::is_formattable<Text>::value);
}

TEST_CASE("columns: a cell is one line, and colour takes no room") {
  const Coloured on;
  CHECK(Text("é→x").width() == 3);
  CHECK(paint(Tone::good, "yes").width() == 3);
  CHECK(table({{"A", "B"}, {paint(Tone::good, "yes"), "1"}, {"é", "2"}}).str() ==
        "A    B\n\x1b[32myes\x1b[0m  1\né    2");
  CHECK(table({{"NAME", "LABEL"}, {kEvil, "forged\nLEASE"}}).str() ==
        "NAME" + std::string(kShown.size() - 2, ' ') + "LABEL\n" + kShown + "  forged\\x0aLEASE");
}

TEST_CASE("a lease's owner and label in `list`") {
  state::Lease lease;
  lease.id = "1a2b3c4d";
  lease.gateways = {Ipv4::parse("198.18.0.1").value()};
  lease.owner.command = kEvil;
  lease.label = kEvil;
  state::Snapshot held;
  held.leases.push_back(lease);
  const auto text = table(list_rows(held)).str();
  CHECK(text.find(kShown + " (") != std::string::npos);
  CHECK(text.ends_with(kShown));
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(std::ranges::count(text, '\n') == 1);
}

// Any other output to the terminal would bypass the escaping; the list names each exception and its reason.
TEST_CASE("nothing else in the sources prints") {
  const std::set<std::string> known{
      "cli/output.cpp",           // all output of the command
      "daemon/main.cpp",          // lines of the log sink, and wrong options, through printable()
      "path/native/sandbox.cpp",  // an Error in the child of `run`, which is printable()
  };
  const std::regex prints(
      R"(std::cout|std::cerr|std::clog|printf\(|\bfputs\(|\bputs\(|\bputchar\(|\bfwrite\(|fmt::print|\bperror\()");
  const auto sources = std::filesystem::path(TEST_SOURCE_ROOT) / ".." / "src";
  std::set<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(sources)) {
    const auto kind = entry.path().extension();
    if (kind != ".cpp" && kind != ".hpp") continue;
    if (std::regex_search(try_read_file(entry.path().string()).value(), prints))
      found.insert(std::filesystem::relative(entry.path(), sources).string());
  }
  CHECK(found == known);
}
