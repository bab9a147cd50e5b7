// libnftables, opened when the first command is given to it: linking it would cost every start of the command
// the loading of six libraries, also where nothing is asked of nf_tables.
#pragma once

#include <nftables/libnftables.h>

#include <memory>
#include <string>

namespace hostnet::firewall {

/// The functions of libnftables that are used, under its names without the prefix.
struct LibNftables {
  decltype(&nft_ctx_new) ctx_new;
  decltype(&nft_ctx_free) ctx_free;
  decltype(&nft_ctx_buffer_output) ctx_buffer_output;
  decltype(&nft_ctx_buffer_error) ctx_buffer_error;
  decltype(&nft_ctx_get_output_buffer) ctx_get_output_buffer;
  decltype(&nft_ctx_get_error_buffer) ctx_get_error_buffer;
  decltype(&nft_ctx_output_set_flags) ctx_output_set_flags;
  decltype(&nft_ctx_set_dry_run) ctx_set_dry_run;
  decltype(&nft_run_cmd_from_buffer) run_cmd_from_buffer;

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
    void operator()(nft_ctx* context) const noexcept { LibNftables::get().ctx_free(context); }
  };
  std::unique_ptr<nft_ctx, Free> context_;
};

}  // namespace hostnet::firewall
