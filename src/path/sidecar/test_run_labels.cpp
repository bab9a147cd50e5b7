// One session a process.
#include "path/sidecar/test_run_labels.hpp"

#include "core/random.hpp"
#include "hostnet/version.hpp"
#include "path/sidecar/own_labels.hpp"
#include "path/sidecar/plan.hpp"

namespace hostnet::exposer {

const std::string& test_run_id() {
  static const std::string id = random_hex(32);
  return id;
}

std::map<std::string, std::string> test_run_labels() {
  return {{"org.testcontainers", "true"},
          {"org.testcontainers.lang", "c++"},
          {"org.testcontainers.version", version()},
          {std::string(kTestRunLabel), test_run_id()},
          {std::string(kOwnerLabel), owner_label()},
          {std::string(kCreationLabel), creation_value()}};
}

}  // namespace hostnet::exposer
