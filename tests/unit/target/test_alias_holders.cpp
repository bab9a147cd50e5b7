// What a sidecar's labels say of its lease, and the line that exposes the ports of two leases.
#include "target/alias_holders.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace hostnet::exposer;

TEST_CASE("a lease that a sidecar's labels describe") {
  const auto holder = alias_holder({{kLeaseLabel, "1a2b3c4d"},
                                    {kAliasLabel, "net"},
                                    {kLeasePortsLabel, "8088/tcp,5432:15432/tcp,/run/a b.sock:80/tcp"}});
  CHECK(holder.lease == "1a2b3c4d");
  CHECK(holder.network == "net");
  CHECK(holder.container.empty());
  CHECK(holder.ports.size() == 3);
  CHECK(one_line_for(holder.ports, {HostPort::same(8088), HostPort::same(9090)}, Target::network("web")) ==
        "tc-hostnet expose '/run/a b.sock:80' 5432:15432 8088 9090 --network web");
}

TEST_CASE("labels of a user are no lease, and a port that makes no sense is no part of a command line") {
  CHECK(alias_holder({{kAliasLabel, "net"}}).lease.empty());
  CHECK(alias_holder({{kLeaseLabel, "; rm -rf /"}, {kAliasLabel, "net"}}).lease.empty());
  const auto holder = alias_holder({{kLeaseLabel, "1a2b3c4d"}, {kLeasePortsLabel, "8088/tcp,$(id)"}});
  CHECK(holder.lease == "1a2b3c4d");
  CHECK(holder.ports.empty());
}

TEST_CASE("the times of engines are comparable") {
  CHECK(nanoseconds_of("1970-01-01T00:00:01Z") == 1'000'000'000);
  CHECK(nanoseconds_of("1970-01-01T01:00:01.5+01:00") == 1'500'000'000);
  CHECK(nanoseconds_of("1970-01-01T00:00:00.000000001-00:30") == 1'800'000'000'001);
  CHECK(nanoseconds_of("2026-11-29T10:38:31.12Z") < nanoseconds_of("2026-11-29T10:38:31.120000001Z"));
  for (const auto* const other :
       {"", "now", "2026-11-29", "2026-11-29T10:38:31", "2026-11-29T10:38:31+1", "2026-11-29T10:38:31Zx"})
    CHECK_FALSE(nanoseconds_of(other).has_value());
}
