// JSON errors as errors of the engine.
#include "engine/json_reader.hpp"

#include "hostnet/error.hpp"

namespace hostnet::engine {
namespace {

[[noreturn]] void nonsense(const std::string& what) {
  throw Error(Errc::engine_error, std::string(kNoSense) + what);
}

}  // namespace

json::Document parse_json(std::string_view text, Deadline deadline) {
  return json::read(text, {.deadline = deadline}, nonsense);
}

}  // namespace hostnet::engine
