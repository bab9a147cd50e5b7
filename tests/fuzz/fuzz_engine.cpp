// Any bytes as an engine's answer: the parsers return a value or throw Error{engine_error}, and nothing else.
#include "engine/parse.hpp"
#include "hostnet/error.hpp"

#include <cstdint>
#include <cstdlib>

using namespace hostnet;
using namespace hostnet::engine;

namespace {

template <class Parser>
void try_parser(Parser parse, std::string_view text) {
  try {
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
  const auto message = parse_error_message(text);
  if (message.size() > 403 || message.find('\n') != std::string::npos) std::abort();
  return 0;
}
