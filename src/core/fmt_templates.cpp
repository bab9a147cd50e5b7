// The templates of libfmt.so, for a command without it.
//
// fmt's headers declare some templates that only the library instantiates: which ones differs between its
// versions. In fmt's header-only form every source instantiates what it uses. So this source alone has that
// form, uses everything that needs one of them, and is compiled without inlining (meson.build): the linker
// finds each of them here, by whatever name. A version that needs more does not link.
//
// It stands alone: another source of the same unit, or a precompiled header, would include fmt in its usual
// form first.
#define FMT_HEADER_ONLY
#include <fmt/format.h>

#include <locale>
#include <string>

namespace hostnet {

// Never called. Numbers of each kind, shortest and with a precision, in words of a locale; into a string and
// into a buffer.
// NOLINTNEXTLINE(misc-use-internal-linkage): nothing of a local function would be kept.
void use_fmt(std::string& text, const std::string& format, const std::locale& locale, float single,
             double real, long double wide, long integer) {
  fmt::vformat_to(std::back_inserter(text), format, fmt::make_format_args(single, real, wide, integer, text));
  text += fmt::vformat(locale, format, fmt::make_format_args(single, real, wide, integer, text));
  text += fmt::format(locale, "{:L} {:L} {:L} {:L} {}", single, real, wide, integer, text);
  fmt::memory_buffer buffer;
  buffer.append(text);
  fmt::format_to(std::back_inserter(buffer), "{} {:.2f} {:a}", single, real, wide);
  text.append(buffer.data(), buffer.size());
}

}  // namespace hostnet
