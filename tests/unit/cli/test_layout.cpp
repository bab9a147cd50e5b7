// Tables and paragraphs within a width.
#include "cli/layout.hpp"
#include "core/strings.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace hostnet::cli;
using Kind = Column::Kind;

namespace {

const std::vector<Row> kRows{{"LEASE", "TARGET", "PORTS", "LABEL"},
                             {"1a2b3c4d", "container a-long-name", "8088/tcp, 9090/tcp", ""},
                             {"5e6f7a8b", "network web", "80/tcp", ""}};
const std::vector<Column> kColumns{{}, {Kind::cut, 10}, {Kind::optional, 8, 2}, {Kind::optional, 5, 1}};

}  // namespace

TEST_CASE("a list is as wide as its cells without a limit") {
  const auto whole = fit(kRows, kColumns, 0);
  CHECK(whole.text.str() == table(kRows).str());
  CHECK(whole.left_out.empty());
  CHECK(fit(kRows, kColumns, 200).text.str() == whole.text.str());
}

TEST_CASE("a list gives way within its width") {
  const auto cut = fit(kRows, kColumns, 46);
  CHECK(cut.text.str() ==
        "LEASE     TARGET         PORTS           LABEL\n"
        "1a2b3c4d  container a-…  8088/tcp, 909…  \n"
        "5e6f7a8b  network web    80/tcp          ");
  CHECK(cut.left_out.empty());
  const auto empty_gone = fit(kRows, kColumns, 32);  // LABEL has nothing to tell
  CHECK(empty_gone.left_out.empty());
  const auto gone = fit(kRows, kColumns, 22);
  CHECK(gone.left_out == std::vector<std::string>{"PORTS"});
  CHECK(gone.text.str() == "LEASE     TARGET\n1a2b3c4d  container a…\n5e6f7a8b  network web");
  // An id stays whole even if nothing fits.
  CHECK(fit(kRows, kColumns, 5).text.str().find("1a2b3c4d") != std::string::npos);
  for (std::size_t width = 22; width < 80; ++width) {
    const auto fitted = fit(kRows, kColumns, width);
    for (const auto line : split(fitted.text.str(), '\n')) CHECK(Text(line).width() <= width);
  }
}

TEST_CASE("values and paragraphs are broken at blanks") {
  CHECK(pairs({{"a", "one two three"}, {"long", "x"}}, 14).str() == "a     one two\n      three\nlong  x");
  CHECK(pairs({{"a", "one two three"}}, 0).str() == "a  one two three");
  CHECK(hang("- ", "a word-that-is-too-long b", 2, 10).str() == "- a\n  word-that-is-too-long\n  b");
  CHECK(hang("", "é é é", 0, 3).str() == "é é\né");
}

TEST_CASE("a command line is broken as a shell reads it") {
  CHECK(command_line("tc-hostnet list", 80).str() == "  tc-hostnet list");
  CHECK(command_line("tc-hostnet expose 8088 --network web", 24).str() ==
        "  tc-hostnet expose \\\n    8088 --network web");
}
