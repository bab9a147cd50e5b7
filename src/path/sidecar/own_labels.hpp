// Which labels a container got at its creation. An image has labels, too, and the engine merges both: a
// container of an image with our labels (a committed one, or one built to deceive) must not be taken for ours
// and removed.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"
#include "path/sidecar/labels.hpp"

#include <string_view>

namespace hostnet::exposer {

/// The container's labels that do not come from its image. If its kCreationLabel does not, these are all its
/// labels: the process that set that label set the others. Pure.
Labels labels_of_creation(const Labels& container, const Labels& image);

/// The same for a container of an engine. None when its image is gone: their origin is then unknown.
/// @throws Error.
Labels labels_of_creation(engine::Client& client, const engine::Container& container, Deadline deadline);

/// Whether the engine has a container with this id that was created with this label.
/// @throws Error, but not for a container that is gone.
bool was_created_with(engine::Client& client, std::string_view id, std::string_view label,
                      std::string_view value, Deadline deadline);

}  // namespace hostnet::exposer
