// Key pairs made for one lease: never written to this machine's disk, gone with the process.
#pragma once

#include "path/ssh/libssh.hpp"

#include <string>

namespace hostnet::ssh {

/// An Ed25519 key pair (RFC 8032, RFC 8709). Immutable, so that threads may share it.
class Key {
 public:
  /// A fresh one. @throws Error{no_path} without libssh, Error{failure}.
  static Key generate();

  /// "ssh-ed25519 AAAA…", as authorized_keys(5) and a host key file's .pub have it, without a newline.
  [[nodiscard]] const std::string& public_line() const noexcept { return public_line_; }
  /// In a form that sshd reads as a HostKey file; ends in a newline.
  [[nodiscard]] std::string private_text() const;
  /// Valid as long as this object.
  [[nodiscard]] ssh_key handle() const noexcept { return key_.get(); }

 private:
  explicit Key(KeyHandle key);
  KeyHandle key_;
  std::string public_line_;
};

/// Whether a server showed the key of this public line ("ssh-ed25519 AAAA…"). @throws Error{invalid_argument}
/// when the line is none.
bool is_public_key(ssh_key shown, const std::string& public_line);

}  // namespace hostnet::ssh
