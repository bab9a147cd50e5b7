// Text laid out in columns and lines: padded tables, lists and paragraphs that fit the terminal. Pure, except
// output_width(). A width of 0 is unlimited.
#pragma once

#include "cli/output.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::cli {

using Row = std::vector<Text>;

/// The columns of standard output: $COLUMNS, else those of the terminal; 0 for a file or a pipe.
std::size_t output_width();

/// Pads each column to its widest cell.
Text table(const std::vector<Row>& rows);

/// How a column of a list gives way on a narrow terminal.
struct Column {
  enum class Kind {
    whole,     ///< Always shown, never cut: what the user types again.
    cut,       ///< Shown, cut down to `least` columns and "…".
    optional,  ///< As `cut`, and left out if that is not enough: those with the lowest `rank` first.
  };
  Kind kind = Kind::whole;
  std::size_t least = 0;  ///< 0: as wide as its widest cell.
  int rank = 0;
};

struct Fitted {
  Text text;
  std::vector<std::string> left_out;  ///< The headings of the columns that did not fit.
};

/// A table whose first row has the headings, within `width`. Cells that may be cut are not painted.
Fitted fit(const std::vector<Row>& rows, const std::vector<Column>& columns, std::size_t width);

/// Rows of a name and a value; values are broken at blanks, in a column of their own.
Text pairs(const std::vector<Row>& rows, std::size_t width);

/// The text in lines of at most `width`, broken at blanks; the first line begins with `first`, all others with
/// `indent` blanks. A longer word has a line of its own.
Text hang(const Text& first, const Text& text, std::size_t indent, std::size_t width);

/// Breaks plain text at blanks into lines of at most `width` columns. A longer word has a line of its own.
std::vector<std::string> wrap(std::string_view text, std::size_t width);

/// One text of several lines.
Text join_lines(const std::vector<Text>& lines);

/// A tab, for templates.
Text tab();

/// A command line, broken at blanks by a backslash as a shell reads it, indented by two.
Text command_line(const std::string& line, std::size_t width);

}  // namespace hostnet::cli
