// A Unix socket beside the records of leases, for a program that another user starts for a lease. Only this
// user and root can reach it in that folder; it is open to whomever it is bound into a container for.
#pragma once

#include "core/deadline.hpp"
#include "core/fd.hpp"
#include "lease/private_folder.hpp"
#include "lease/tunnel_record.hpp"

#include <filesystem>
#include <string>

namespace hostnet::state {

class RecordSocket {
 public:
  /// Listens (SOCK_SEQPACKET). `name` is unique. @throws Error, also timed_out.
  RecordSocket(const TunnelStore& store, const std::string& name, Deadline deadline);
  RecordSocket(const RecordSocket&) = delete;
  RecordSocket& operator=(const RecordSocket&) = delete;
  /// Removes it.
  ~RecordSocket();

  [[nodiscard]] int listener() const noexcept { return listener_.get(); }
  /// Without symbolic links.
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  Fd folder_;
  std::string file_;
  std::string path_;
  Fd listener_;
};

/// Removes the socket of that name, if it is there.
void remove_socket(const TunnelStore& store, const std::string& name) noexcept;

/// Removes those without a listener. `folder` is locked, as it is while a socket is made.
void remove_dead_sockets(const PrivateFolder& folder) noexcept;

}  // namespace hostnet::state
