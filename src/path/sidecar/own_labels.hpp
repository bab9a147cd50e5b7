// Which of a container's labels were given to it when it was created. An image brings labels, too, and the
// engine mixes the two: a container made from an image with our labels (a committed one, or one
// that was built to deceive) must not be taken for one of ours, and removed.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"
#include "path/sidecar/labels.hpp"

#include <string_view>

namespace hostnet::exposer {

/// Of a container's labels those that do not come with its image. Where its kCreationLabel does not, that is
/// all: the process that set that one set the others. Pure.
Labels labels_of_creation(const Labels& container, const Labels& image);

/// The same for a container of an engine. None when its image is gone: then it cannot be told. @throws Error.
Labels labels_of_creation(engine::Client& client, const engine::Container& container, Deadline deadline);

/// Whether the engine has a container with this id that was created with this label.
/// @throws Error; not for one that is gone.
bool was_created_with(engine::Client& client, std::string_view id, std::string_view label,
                      std::string_view value, Deadline deadline);

}  // namespace hostnet::exposer
