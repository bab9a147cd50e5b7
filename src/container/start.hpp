// Starts a container from a request and waits for its conditions.
#pragma once

#include "hostnet/container.hpp"
#include "hostnet/image.hpp"

#include <memory>

namespace hostnet::container {

/// Implements GenericImage::start().
std::unique_ptr<Container::Impl> start(const ContainerRequest& request);

}  // namespace hostnet::container
