// Netlink notifications: interfaces that change or disappear, and changes to nftables rules.
#pragma once

#include "netlink/link.hpp"

#include <string>
#include <vector>

namespace hostnet::netlink {

struct LinkEvent {
  enum class Kind { changed, removed, lost };  ///< lost: the kernel dropped events; check everything again.
  Kind kind = Kind::changed;
  int ifindex = 0;
  std::string name;
};

/// Subscribed to RTNLGRP_LINK since its construction, in the constructing thread's netns. Not thread-safe.
class LinkMonitor {
 public:
  LinkMonitor();
  /// Readable (EPOLLIN) when read() has something.
  [[nodiscard]] int fd() const;
  /// All pending events; never blocks. @throws Error.
  std::vector<LinkEvent> read();

 private:
  Socket socket_;
};

/// Subscribed to NFNLGRP_NFTABLES. Not thread-safe.
class NftMonitor {
 public:
  /// @throws Error when the kernel has no nf_tables.
  NftMonitor();
  [[nodiscard]] int fd() const;
  /// Drains pending events; true when anything changed or events were lost.
  bool read();

 private:
  Socket socket_;
};

}  // namespace hostnet::netlink
