// From a request to a container that runs and meets its conditions.
#pragma once

#include "hostnet/container.hpp"
#include "hostnet/image.hpp"

#include <memory>

namespace hostnet::container {

/// As GenericImage::start().
std::unique_ptr<Container::Impl> start(const ContainerRequest& request);

}  // namespace hostnet::container
