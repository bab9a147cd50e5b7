// Opening libnftables at run time.
#include "firewall/libnftables.hpp"

#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "netlink/request.hpp"

#include <fmt/format.h>

#include <new>
#include <string_view>

namespace hostnet::firewall {
namespace {

// Its errors are several lines: the message, and then the command with a line of carets under the place.
std::string first_line(std::string_view text) { return std::string(trim(text.substr(0, text.find('\n')))); }

}  // namespace

const LibNftables& LibNftables::get() {
  static const LibNftables table = [] {
    const Library library({.sonames = {"libnftables.so.1"},
                           .name = "libnftables",
                           .code = Errc::no_path,
                           .hint = "install it (on Debian and Ubuntu: apt-get install libnftables1), or take "
                                   "--firewall iptables"});
    LibNftables functions{};
    HOSTNET_NFT_FUNCTIONS(HOSTNET_LIBRARY_FIND)
    return functions;
  }();
  return table;
}

NftContext::NftContext() {
  const auto& nft = LibNftables::get();
  // Where it can open no socket, libnftables ends the process. So that is tried first.
  netlink::open_socket(NETLINK_NETFILTER);
  context_.reset(nft.nft_ctx_new(NFT_CTX_DEFAULT));
  if (!context_) throw std::bad_alloc();
  if (nft.nft_ctx_buffer_output(context_.get()) != 0 || nft.nft_ctx_buffer_error(context_.get()) != 0)
    throw std::bad_alloc();
  nft.nft_ctx_output_set_flags(context_.get(), NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_NUMERIC_PROTO);
}

std::string NftContext::run(const std::string& commands) {
  const auto& nft = LibNftables::get();
  const int failed = nft.nft_run_cmd_from_buffer(context_.get(), commands.c_str());
  // Both are emptied by being read.
  std::string output = nft.nft_ctx_get_output_buffer(context_.get());
  const auto errors = first_line(nft.nft_ctx_get_error_buffer(context_.get()));
  if (failed == 0) return output;
  const bool denied = errors.find("Operation not permitted") != std::string::npos;
  throw Error(denied ? Errc::not_authorised : Errc::failure,
              fmt::format("nftables: {}", errors.empty() ? "the commands failed" : errors));
}

bool NftContext::would_take(const std::string& commands) {
  struct DryRun {
    explicit DryRun(nft_ctx* of) : context(of) { LibNftables::get().nft_ctx_set_dry_run(context, true); }
    ~DryRun() { LibNftables::get().nft_ctx_set_dry_run(context, false); }
    DryRun(const DryRun&) = delete;
    DryRun& operator=(const DryRun&) = delete;
    nft_ctx* context;
  };
  const DryRun dry(context_.get());
  try {
    run(commands);
    return true;
  } catch (const Error& error) {
    if (error.code() != Errc::failure) throw;
    return false;
  }
}

}  // namespace hostnet::firewall
