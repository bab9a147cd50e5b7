// One session a process.
#include "path/sidecar/session_labels.hpp"

#include "core/random.hpp"
#include "hostnet/version.hpp"
#include "path/sidecar/own_labels.hpp"
#include "path/sidecar/plan.hpp"

namespace hostnet::exposer {

const std::string& session_id() {
  static const std::string id = random_hex(32);
  return id;
}

std::map<std::string, std::string> session_labels() {
  return {{"org.testcontainers", "true"},
          {"org.testcontainers.lang", "c++"},
          {"org.testcontainers.version", version()},
          {std::string(kSessionLabel), session_id()},
          {std::string(kOwnerLabel), owner_label()},
          {std::string(kCreationLabel), creation_value()}};
}

}  // namespace hostnet::exposer
