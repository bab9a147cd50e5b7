// Key pairs for one lease. The client's private key stays in this process's memory; the sidecar's host key
// goes to the engine in the container's environment.
#pragma once

#include "path/ssh/libssh.hpp"

#include <string>

namespace hostnet::ssh {

/// An Ed25519 key pair (RFC 8032, RFC 8709). Immutable, so that threads may share it.
class Key {
 public:
  /// Makes a key pair. @throws Error{no_path} without libssh, Error{failure}.
  static Key generate();

  /// "ssh-ed25519 AAAA…", as authorized_keys(5) and a host key file's .pub have it, without a newline.
  [[nodiscard]] const std::string& public_line() const noexcept { return public_line_; }
  /// As the text of an sshd HostKey file; ends in a newline.
  [[nodiscard]] std::string private_text() const;
  /// Valid as long as this object.
  [[nodiscard]] ssh_key handle() const noexcept { return key_.get(); }

 private:
  explicit Key(KeyHandle key);
  KeyHandle key_;
  std::string public_line_;
};

/// Whether `shown`, a server's host key, is the key of this public line ("ssh-ed25519 AAAA…").
/// @throws Error{invalid_argument} when the line is not such a key.
bool is_public_key(ssh_key shown, const std::string& public_line);

}  // namespace hostnet::ssh
