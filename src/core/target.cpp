// Prints targets.
#include "hostnet/target.hpp"

namespace hostnet {

std::string Target::to_string() const {
  switch (kind_) {
    case Kind::container:
      return "container " + name_;
    case Kind::network:
      return "network " + name_;
    case Kind::bridge:
      return "bridge " + name_;
    case Kind::netns:
      return "netns " + name_;
  }
  return name_;
}

}  // namespace hostnet
