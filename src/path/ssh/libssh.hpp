// libssh, opened when the first tunnel is made. Linking it would cost every start of the command several
// milliseconds of dynamic loading (libcrypto, Kerberos), even without a tunnel.
#pragma once

#include "core/library.hpp"

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>

#include <memory>

namespace hostnet::ssh {

// The functions of libssh in use.
#define HOSTNET_LIBSSH_FUNCTIONS(X)                    \
  X(ssh_new)                                           \
  X(ssh_free)                                          \
  X(ssh_options_set)                                   \
  X(ssh_set_blocking)                                  \
  X(ssh_connect)                                       \
  X(ssh_is_connected)                                  \
  X(ssh_get_error)                                     \
  X(ssh_get_status)                                    \
  X(ssh_get_server_publickey)                          \
  X(ssh_get_cipher_out)                                \
  X(ssh_userauth_publickey)                            \
  X(ssh_set_counters)                                  \
  X(ssh_event_new)                                     \
  X(ssh_event_free)                                    \
  X(ssh_event_add_session)                             \
  X(ssh_event_remove_session)                          \
  X(ssh_event_dopoll)                                  \
  X(ssh_send_keepalive)                                \
  X(ssh_set_message_callback)                          \
  X(ssh_message_type)                                  \
  X(ssh_message_subtype)                               \
  X(ssh_message_channel_request_open_originator)       \
  X(ssh_message_channel_request_open_destination_port) \
  X(ssh_message_channel_request_open_reply_accept)     \
  X(ssh_channel_new)                                   \
  X(ssh_channel_free)                                  \
  X(ssh_channel_close)                                 \
  X(ssh_channel_send_eof)                              \
  X(ssh_channel_open_session)                          \
  X(ssh_channel_request_exec)                          \
  X(ssh_channel_listen_forward)                        \
  X(ssh_channel_read_nonblocking)                      \
  X(ssh_channel_write)                                 \
  X(ssh_channel_window_size)                           \
  X(ssh_set_channel_callbacks)                         \
  X(ssh_remove_channel_callbacks)                      \
  X(ssh_key_free)                                      \
  X(ssh_key_cmp)                                       \
  X(ssh_pki_generate)                                  \
  X(ssh_pki_import_pubkey_base64)                      \
  X(ssh_pki_export_privkey_base64)                     \
  X(ssh_pki_export_pubkey_base64)                      \
  X(ssh_string_free_char)

// libssh 0.12 prefers another function to ssh_pki_generate(), which 0.10 does not have; it has both.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/// The functions, under their own names, so that a call reads as in libssh's manual.
struct Libssh {
  HOSTNET_LIBSSH_FUNCTIONS(HOSTNET_LIBRARY_MEMBER)

  /// The process's one table, filled at the first call. Thread-safe; after a failure the next call tries
  /// again. @throws Error{no_path} naming the package to install.
  static const Libssh& get();
};

#pragma GCC diagnostic pop

/// Frees a libssh handle with the table's function `Free`.
template <auto Free>
struct FreeByTable {
  template <class T>
  void operator()(T* handle) const noexcept {
    (Libssh::get().*Free)(handle);
  }
};

using KeyHandle = std::unique_ptr<ssh_key_struct, FreeByTable<&Libssh::ssh_key_free>>;
using SessionHandle = std::unique_ptr<ssh_session_struct, FreeByTable<&Libssh::ssh_free>>;
using EventHandle = std::unique_ptr<ssh_event_struct, FreeByTable<&Libssh::ssh_event_free>>;

}  // namespace hostnet::ssh
