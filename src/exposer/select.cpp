// Choosing a path, and making its exposer.
#include "exposer/select.hpp"

#include "core/strings.hpp"
#include "exposer/native.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

namespace hostnet {

const char* to_string(Path path) noexcept { return path == Path::native ? "native" : "auto"; }

namespace exposer {

Choice choose(Path wanted, const std::vector<Candidate>& candidates) {
  Choice choice;
  for (const auto& [path, probe] : candidates) {
    if (wanted != Path::automatic && path != wanted) continue;
    for (const auto& reason : probe.reasons)
      choice.reasons.push_back(fmt::format("{}: {}", to_string(path), reason));
    if (!probe.usable) continue;
    choice.path = path;
    choice.reasons.push_back(
        fmt::format("{}: {}", to_string(path),
                    wanted == Path::automatic ? "the first that is usable here" : "as asked for"));
    break;
  }
  return choice;
}

std::vector<Candidate> probe_paths() { return {{Path::native, probe_native()}}; }

}  // namespace exposer

std::unique_ptr<Exposer> make_exposer(ExposerOptions options) {
  const auto choice = exposer::choose(options.path, exposer::probe_paths());
  if (!choice.path)
    throw Error(options.path == Path::automatic ? Errc::no_path : Errc::not_authorised,
                fmt::format("no usable path: {}", list_of(choice.reasons)),
                "run it as root: sudo tc-hostnet …");
  return exposer::make_native(options);
}

}  // namespace hostnet
