// One function per kind of target, each in its own file.
#include "target/resolve.hpp"

#include "hostnet/error.hpp"

namespace hostnet::exposer {

Resolved Resolver::resolve(const Target& target, bool with_alias, bool force, Deadline deadline) {
  switch (target.kind()) {
    case Target::Kind::bridge:
      return bridge(target.name(), force);
    case Target::Kind::network:
      return network(target.name(), with_alias, force, deadline);
    case Target::Kind::container:
      return container(target.name(), with_alias, force, deadline);
    case Target::Kind::netns:
      return netns(target.name(), force);
  }
  throw Error(Errc::invalid_argument, "a target of no known kind");
}

engine::Client& Resolver::client() {
  if (!client_) client_.emplace(engine::Address::find(engine_));
  return *client_;
}

}  // namespace hostnet::exposer
