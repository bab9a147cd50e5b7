// Widths are counted in columns; control sequences of paint() have none and are never cut.
#include "cli/layout.hpp"

#include "core/strings.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <string_view>

namespace hostnet::cli {

// The one that may cut a Text, and add line ends to it.
class Layout {
 public:
  static void end_line(Text& text) { text.text_ += '\n'; }
  static void add_tab(Text& text) { text.text_ += '\t'; }

  // The words between single blanks. A painted text may span several.
  static std::vector<Text> words(const Text& text) {
    std::vector<Text> out;
    std::string_view rest = text.text_;
    for (;;) {
      const auto blank = rest.find(' ');
      Text word;
      word.text_ = rest.substr(0, blank);
      word.width_ = width(word.text_);
      out.push_back(std::move(word));
      if (blank == std::string_view::npos) return out;
      rest.remove_prefix(blank + 1);
    }
  }

  // The beginning of a text that is not painted, at most `columns` wide, with "…" if it was cut.
  static Text cut(const Text& text, std::size_t columns) {
    if (text.width_ <= columns) return text;
    std::size_t end = 0;
    for (std::size_t seen = 0; end < text.text_.size(); ++end)
      if ((text.text_[end] & 0xc0) != 0x80 && seen++ + 1 == columns) break;
    Text out;
    out.text_ = text.text_.substr(0, end) + "…";
    out.width_ = columns;
    return out;
  }

 private:
  static std::size_t width(std::string_view text) {
    std::size_t columns = 0;
    bool in_sequence = false;
    for (const char c : text) {
      if (c == '\x1b') in_sequence = true;
      if (!in_sequence && (c & 0xc0) != 0x80) ++columns;
      if (c == 'm') in_sequence = false;
    }
    return columns;
  }
};

namespace {

constexpr std::size_t kGap = 2;

Text blanks(std::size_t count) { return std::string(count, ' '); }

std::vector<std::size_t> widths_of(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].width());
  }
  return widths;
}

std::size_t width_of(const std::vector<std::size_t>& widths) {
  return widths.empty()
             ? 0
             : std::accumulate(widths.begin(), widths.end(), std::size_t{0}) + kGap * (widths.size() - 1);
}

Text padded(const std::vector<Row>& rows, const std::vector<std::size_t>& widths) {
  Text out;
  for (const auto& row : rows) {
    if (&row != &rows.front()) Layout::end_line(out);
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out += blanks(widths[i] - row[i].width() + kGap);
    }
  }
  return out;
}

// Takes away from the widest column that may give, until the row fits or none can give more.
void shrink(std::vector<std::size_t>& widths, const std::vector<Column>& columns, std::size_t width) {
  while (width_of(widths) > width) {
    std::size_t widest = widths.size();
    for (std::size_t i = 0; i < widths.size(); ++i) {
      const bool gives = columns[i].least > 0 && widths[i] > columns[i].least;
      if (gives && (widest == widths.size() || widths[i] > widths[widest])) widest = i;
    }
    if (widest == widths.size()) return;
    --widths[widest];
  }
}

// The optional column with the lowest rank; the number of columns if there is none.
std::size_t least_needed(const std::vector<Column>& columns) {
  auto found = columns.size();
  for (std::size_t i = 0; i < columns.size(); ++i)
    if (columns[i].kind == Column::Kind::optional &&
        (found == columns.size() || columns[i].rank < columns[found].rank))
      found = i;
  return found;
}

template <class Sequence>
void erase_at(Sequence& sequence, std::size_t place) {
  sequence.erase(sequence.begin() + static_cast<std::ptrdiff_t>(place));
}

}  // namespace

std::size_t output_width() {
  constexpr std::size_t widest = 10'000;
  if (const char* const columns = std::getenv("COLUMNS"); columns != nullptr)
    if (const auto count = parse_number(columns, widest); count && *count > 0) return *count;
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

Text table(const std::vector<Row>& rows) { return padded(rows, widths_of(rows)); }

Fitted fit(const std::vector<Row>& rows, const std::vector<Column>& columns, std::size_t width) {
  auto widths = widths_of(rows);
  if (width == 0 || rows.empty() || width_of(widths) <= width) return {padded(rows, widths), {}};
  Fitted fitted;
  auto cells = rows;
  auto kinds = columns;
  kinds.resize(widths.size());
  for (;;) {
    auto narrow = widths;
    shrink(narrow, kinds, width);
    const auto place = least_needed(kinds);
    if (width_of(narrow) <= width || place == kinds.size()) {
      for (auto& row : cells)
        for (std::size_t i = 0; i < row.size(); ++i) row[i] = Layout::cut(row[i], narrow[i]);
      fitted.text = padded(cells, narrow);
      return fitted;
    }
    // An empty column is no loss, so it is not reported.
    if (std::ranges::any_of(cells.begin() + 1, cells.end(),
                            [&](const auto& row) { return row[place].width() > 0; }))
      fitted.left_out.push_back(cells.front()[place].str());
    for (auto& row : cells) erase_at(row, place);
    erase_at(widths, place);
    erase_at(kinds, place);
  }
}

Text pairs(const std::vector<Row>& rows, std::size_t width) {
  std::size_t names = 0;
  for (const auto& row : rows) names = std::max(names, row.front().width());
  Text out;
  for (const auto& row : rows) {
    if (&row != &rows.front()) Layout::end_line(out);
    out += hang(row.front() + blanks(names - row.front().width() + kGap), row.back(), names + kGap, width);
  }
  return out;
}

Text hang(const Text& first, const Text& text, std::size_t indent, std::size_t width) {
  Text out = first;
  if (width == 0) return out + text;
  auto column = first.width();
  bool begins = true;  // a line always takes its first word
  for (const auto& word : Layout::words(text)) {
    if (!begins && column + 1 + word.width() > width) {
      Layout::end_line(out);
      out += blanks(indent);
      column = indent;
      begins = true;
    }
    if (!begins) out += " ";
    out += word;
    column += word.width() + (begins ? 0 : 1);
    begins = false;
  }
  return out;
}

std::vector<std::string> wrap(std::string_view text, std::size_t width) {
  const auto lines = hang({}, Text(text), 0, width);
  std::vector<std::string> out;
  for (const auto line : split(std::string_view(lines.str()), '\n')) out.emplace_back(line);
  return out;
}

Text join_lines(const std::vector<Text>& lines) {
  Text out;
  for (const auto& line : lines) {
    if (&line != &lines.front()) Layout::end_line(out);
    out += line;
  }
  return out;
}

Text command_line(const std::string& line, std::size_t width) {
  constexpr std::size_t indent = 2;
  if (width == 0 || line.size() + indent <= width) return blanks(indent) + line;
  // Leaves room for the backslash; lines after the first are indented by four.
  const auto broken =
      hang(blanks(indent), line, 2 * indent, width > kGap + 2 * indent ? width - kGap : width);
  Text out;
  const auto& text = broken.str();
  for (const auto part : split(text, '\n')) {
    if (out.width() > 0) {
      out += " \\";
      Layout::end_line(out);
    }
    out += part;
  }
  return out;
}

Text tab() {
  Text out;
  Layout::add_tab(out);
  return out;
}

}  // namespace hostnet::cli
