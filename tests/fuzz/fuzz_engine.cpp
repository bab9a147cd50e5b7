// Feeds arbitrary bytes as an engine's answer: the parsers and stream readers return a value or throw
// Error{engine_error}, nothing else.
#include "engine/api_version.hpp"
#include "engine/container_json.hpp"
#include "engine/events.hpp"
#include "engine/parse.hpp"
#include "engine/pull.hpp"
#include "engine/stream.hpp"
#include "engine/swarm.hpp"
#include "hostnet/error.hpp"

#include <cstdint>
#include <cstdlib>
#include <type_traits>

using namespace hostnet;
using namespace hostnet::engine;

namespace {

template <class Parser>
void try_parser(Parser parse, std::string_view text) {
  try {
    if constexpr (std::is_invocable_v<Parser, std::string_view, Deadline>)
      static_cast<void>(parse(text, Deadline::never()));
    else
      static_cast<void>(parse(text));
  } catch (const Error& error) {
    if (error.code() != Errc::engine_error) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try_parser(parse_version, text);
  try_parser(parse_network, text);
  try_parser(parse_networks, text);
  try_parser(parse_libpod_bridges, text);
  try_parser(parse_container, text);
  try_parser(parse_id, text);
  try_parser(parse_container_list, text);
  try_parser(parse_exec_state, text);
  try_parser(parse_exit_code, text);
  try_parser(parse_image_labels, text);
  try_parser(parse_swarm_node, text);
  try_parser(parse_overlay_ends, text);
  try_parser(least_api_version, text);
  static_cast<void>(host_of_manager(text));
  // Streams, in two pieces.
  const auto cut = text.substr(0, size / 2);
  const auto rest = text.substr(size / 2);
  try_parser(
      [&](std::string_view) {
        Demultiplexer stream([](Stream, std::string_view) {});
        stream.feed(cut);
        stream.feed(rest);
        stream.finish();
        return 0;
      },
      text);
  try_parser(
      [&](std::string_view) {
        const ProgressSink nobody;
        PullReader reader("image", nobody);
        reader.feed(cut);
        reader.feed(rest);
        reader.finish();
        return 0;
      },
      text);
  try_parser(
      [&](std::string_view) {
        EventReader reader;
        reader.feed(cut, [](const Event&) {});
        reader.feed(rest, [](const Event&) {});
        return 0;
      },
      text);
  static_cast<void>(parse_error_cause(text));
  const auto message = parse_error_message(text);
  if (message.size() > 403 || message.find('\n') != std::string::npos) std::abort();
  return 0;
}
