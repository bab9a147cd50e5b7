// Subtracts the image's labels from the container's.
#include "path/sidecar/own_labels.hpp"

#include "core/log.hpp"
#include "hostnet/error.hpp"

namespace hostnet::exposer {

Labels labels_of_creation(const Labels& container, const Labels& image) {
  const auto is_of_image = [&](const auto& label) {
    const auto found = image.find(label.first);
    return found != image.end() && found->second == label.second;
  };
  const auto creation = container.find(kCreationLabel);
  if (creation != container.end() && !is_of_image(*creation)) return container;
  auto own = container;
  std::erase_if(own, is_of_image);
  return own;
}

Labels labels_of_creation(engine::Client& client, const engine::Container& container, Deadline deadline) {
  if (container.image_id.empty()) return {};
  try {
    return labels_of_creation(container.labels, client.image_labels(container.image_id, deadline));
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    log::info("container {}: its image is gone, so its own labels are unknown; leaving it alone",
              container.name);
    return {};
  }
}

bool was_created_with(engine::Client& client, std::string_view id, std::string_view label,
                      std::string_view value, Deadline deadline) {
  try {
    const auto labels = labels_of_creation(client, client.container(id, deadline), deadline);
    const auto found = labels.find(std::string(label));
    return found != labels.end() && found->second == value;
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    return false;
  }
}

}  // namespace hostnet::exposer
