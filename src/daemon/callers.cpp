// Watches NameOwnerChanged for all names.
#include "daemon/callers.hpp"

#include "daemon/guard.hpp"

namespace hostnet::daemon {

Callers::Callers(sdbus::IConnection& connection, std::function<void(const std::string& name)> left)
    : left_(std::move(left)),
      match_(add_match(connection,
                       "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                       "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''",
                       [this](sdbus::Message& message) {
                         guarded("NameOwnerChanged", [&] {
                           std::string name;
                           message >> name;
                           if (name.starts_with(':')) left_(name);
                         });
                       })) {}

Caller Callers::identify(const sdbus::Message& message) {
  return {.name = message.getSender(), .uid = message.getCredsEuid(), .pid = message.getCredsPid()};
}

}  // namespace hostnet::daemon
