// Text of others made fit for a terminal, a log and a message on the bus.
//
// Names of processes, containers and networks, labels, an engine's words and the helper's come from people
// whom the reader of a terminal need not trust. Raw, they can move the cursor, forge lines, set the window's
// title, turn text round (bidi) or hide in it (zero width). This is the one place that decides what is shown
// as it is. It is applied where text leaves: by cli/output for the command, by log::write() and by the
// constructor of Error for the library.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hostnet {

/// Whether `point` is shown as it is. Not: controls (C0, DEL, C1), format characters (bidi, zero width, tags
/// and others of category Cf), line and paragraph separators, other code points that are invisible by default
/// (variation selectors, fillers), surrogates, noncharacters, and what is no code point.
bool is_printable(char32_t point) noexcept;

/// `text` as one line of valid UTF-8 of printable code points alone. The others become \xNN (below 0x80, and
/// bytes that are not UTF-8: overlong, truncated, surrogates), \uNNNN or \UNNNNNNNN. A backslash stays as it
/// is, so that doing it twice changes nothing more.
std::string printable(std::string_view text);
/// The beginning of that, at most `limit` bytes of it as it is shown, with … where more was there.
std::string printable(std::string_view text, std::size_t limit);

/// JSON on one line with such code points as JSON's \uNNNN: the same value for every reader. What is not
/// UTF-8 becomes U+FFFD.
std::string printable_json(std::string_view json);

}  // namespace hostnet
