// Finds a reusable container by a label with the hash of its description.
#include "container/reuse.hpp"

#include "engine/container_json.hpp"
#include "path/sidecar/labels.hpp"

#include <fmt/format.h>

namespace hostnet::container {

// FNV-1a, 64 bits: distinguishes descriptions; not meant to resist an attacker.
std::string hash_of(const engine::ContainerSpec& spec) {
  std::uint64_t hash = 14695981039346656037U;
  for (const char byte : spec.name + '\n' + engine::create_request(spec))
    hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211U;
  return fmt::format("{:016x}", hash);
}

std::optional<engine::ContainerSummary> find_reusable(engine::Containers& containers, const std::string& hash,
                                                      Deadline deadline) {
  for (auto& container : containers.list({fmt::format("{}={}", exposer::kHashLabel, hash)}, deadline))
    if (container.state == "running") return std::move(container);
  return std::nullopt;
}

}  // namespace hostnet::container
