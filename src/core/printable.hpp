// Makes untrusted text safe for a terminal, a log and a bus message.
//
// Names of processes, containers and networks, labels, and messages of an engine or the helper are untrusted.
// Raw, they can move the cursor, forge lines, set the window's title, reverse text (bidi) or hide in it (zero
// width). This is the one place that decides which code points are shown unchanged. cli/output applies it for
// the command; log::write() and the constructor of Error apply it for the library.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hostnet {

/// Whether `point` is shown unchanged. False for controls (C0, DEL, C1), format characters (bidi, zero width,
/// tags and others of category Cf), line and paragraph separators, other code points that are invisible by
/// default (variation selectors, fillers), surrogates, noncharacters, and values that are not code points.
bool is_printable(char32_t point) noexcept;

/// `text` as one line of valid UTF-8 with only printable code points. Others become \xNN (below 0x80, and
/// bytes that are not UTF-8: overlong, truncated, surrogates), \uNNNN or \UNNNNNNNN. A backslash stays
/// unchanged, so that a second call changes nothing.
std::string printable(std::string_view text);
/// The beginning of that, at most `limit` bytes of it, plus … if it was cut.
std::string printable(std::string_view text, std::size_t limit);

/// One line of JSON with unprintable code points as JSON's \uNNNN, which every reader decodes to the same
/// value. Bytes that are not UTF-8 become U+FFFD.
std::string printable_json(std::string_view json);

}  // namespace hostnet
