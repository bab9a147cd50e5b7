// The usual recipe without tc-hostnet: the sysctl and a DNAT, no guard. Each attack must succeed against it;
// only then does its failure against a lease mean anything.
#pragma once

#include "support/netns.hpp"

#include <fmt/format.h>

#include <string>

namespace test {

/// In effect while the object lives, in the calling thread's namespace.
class BlogRecipe {
 public:
  /// For traffic from one interface, or from any ("all").
  explicit BlogRecipe(const std::string& interface = "br0", unsigned port = 8088)
      : rule_(fmt::format("PREROUTING {} -p tcp --dport {} -j DNAT --to-destination 127.0.0.1:{}",
                          interface == "all" ? "" : "-i " + interface, port, port)),
        setting_(fmt::format("net.ipv4.conf.{}.route_localnet", interface)) {
    exec(fmt::format("sysctl -qw {}=1 && iptables-legacy -w -t nat -A {}", setting_, rule_));
  }
  BlogRecipe(const BlogRecipe&) = delete;
  BlogRecipe& operator=(const BlogRecipe&) = delete;
  ~BlogRecipe() {
    try_exec(fmt::format("sysctl -qw {}=0; iptables-legacy -w -t nat -D {}", setting_, rule_));
  }

 private:
  std::string rule_;
  std::string setting_;
};

}  // namespace test
