// libnftables, opened when the first command is given to it: linking it would cost every start of the command
// the loading of six libraries, also where nothing is asked of nf_tables.
#pragma once

#include "core/library.hpp"

#include <nftables/libnftables.h>

#include <memory>
#include <string>

namespace hostnet::firewall {

// Every function of libnftables that is used.
#define HOSTNET_NFT_FUNCTIONS(X) \
  X(nft_ctx_new)                 \
  X(nft_ctx_free)                \
  X(nft_ctx_buffer_output)       \
  X(nft_ctx_buffer_error)        \
  X(nft_ctx_get_output_buffer)   \
  X(nft_ctx_get_error_buffer)    \
  X(nft_ctx_output_set_flags)    \
  X(nft_ctx_set_dry_run)         \
  X(nft_run_cmd_from_buffer)

/// The functions, under their own names, so that a call reads as it does in libnftables' manual.
struct LibNftables {
  HOSTNET_NFT_FUNCTIONS(HOSTNET_LIBRARY_MEMBER)

  /// The process's one table, filled at the first call. Thread-safe; after a failure the next call tries
  /// again. @throws Error{no_path} naming the package to install.
  static const LibNftables& get();
};

/// One long-lived context: a netlink socket to the nf_tables of the network namespace of the thread that made
/// it. Not thread-safe.
class NftContext {
 public:
  /// @throws Error{no_path}
  NftContext();

  /// Runs commands as `nft --json --numeric-protocol` would, all or none of them. Returns what it prints.
  /// @throws Error with libnftables' words: not_authorised, failure.
  std::string run(const std::string& commands);
  /// Whether the kernel would take these commands; nothing is changed. @throws Error{not_authorised}.
  bool would_take(const std::string& commands);

 private:
  struct Free {
    void operator()(nft_ctx* context) const noexcept { LibNftables::get().nft_ctx_free(context); }
  };
  std::unique_ptr<nft_ctx, Free> context_;
};

}  // namespace hostnet::firewall
