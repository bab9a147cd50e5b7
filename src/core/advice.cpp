// Takes the clause about root out of a hint, or replaces the whole.
#include "core/advice.hpp"

#include <string_view>

namespace hostnet {

std::string advice_for(uid_t reader, const std::string& hint) {
  constexpr std::string_view to_become_root = "run it as root";
  constexpr std::string_view other = ", or ";
  const auto place = hint.find(to_become_root);
  if (reader != 0 || place == std::string::npos) return hint;
  if (place >= other.size() && hint.compare(place - other.size(), other.size(), other) == 0)
    return hint.substr(0, place - other.size());
  if (const auto rest = hint.find(other); place == 0 && rest != std::string::npos)
    return hint.substr(rest + other.size());
  return "root has not all rights here, as in a container: run it on the host, or give the container the "
         "capabilities "
         "(--cap-add NET_ADMIN --cap-add NET_RAW, or --privileged)";
}

}  // namespace hostnet
