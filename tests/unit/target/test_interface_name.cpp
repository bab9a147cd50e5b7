// Valid and invalid interface names.
#include "target/interface_name.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace hostnet::exposer;

TEST_CASE("interface names") {
  for (const char* name : {"br0", "docker0", "br-0123456789ab", "a.b:c@d_e", "fifteen-letters"})
    CHECK_MESSAGE(!interface_name_fault(name), name);
  for (const char* name : {"", ".", "..", "-x", "sixteen-letters!", "sixteen-letters-", "a b", "a/b", "a;b",
                           "$(id)", "a\nb", "br0`"})
    CHECK_MESSAGE(interface_name_fault(name), name);
}
