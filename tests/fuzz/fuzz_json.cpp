// Feeds arbitrary bytes as JSON: a parsed document survives a round trip, and a reader answers every query
// with a value or its own error.
#include "core/json_reader.hpp"
#include "hostnet/error.hpp"

#include <cstdint>
#include <cstdlib>
#include <string>

using namespace hostnet;

namespace {

[[noreturn]] void complain(const std::string& what) { throw Error(Errc::conflict, what); }

template <class Ask>
void ask(Ask question) {
  try {
    question();
  } catch (const Error& error) {
    if (error.code() != Errc::conflict) std::abort();
  }
}

void walk(const json::Reader& reader) {
  ask([&] { static_cast<void>(reader.string()); });
  ask([&] { static_cast<void>(reader.boolean()); });
  ask([&] { static_cast<void>(reader.number<std::int8_t>()); });
  ask([&] { static_cast<void>(reader.number<std::uint64_t>()); });
  ask([&] { static_cast<void>(reader.strings()); });
  ask([&] { static_cast<void>(reader.string_or_empty("a")); });
  ask([&] { static_cast<void>(reader.strings_or_empty("a")); });
  ask([&] { reader.each_element(walk); });
  ask([&] { reader.each_member([](const std::string&, const json::Reader& value) { walk(value); }); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const json::Limits limits{.depth = 8, .values = 1000};
  ask([&] {
    const auto document = json::read(text, limits, complain);
    const auto written = document.root.dump_exact();
    if (!written || *written != document.root.dump())
      std::abort();  // parsed text is UTF-8, so dump() loses nothing
    if (!(json::parse(*written, limits) == document.root)) std::abort();
    if (!(json::parse(document.root.dump_in_lines(), limits) == document.root)) std::abort();
    walk(json::Reader(document));
  });
  return 0;
}
