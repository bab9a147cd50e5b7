// Lists nf_tables chains and rules.
#include "netlink/nft_tables.hpp"

#include "netlink/nft_dump.hpp"
#include "netlink/nft_rule.hpp"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>

namespace hostnet::netlink {
namespace {

Error no_nf_tables(int cause) {
  return {Errc::no_path, "this kernel has no nf_tables", "load it: modprobe nf_tables", cause};
}

void parse_chain(const nlmsghdr& header, std::vector<NftChain>& chains) {
  const Attributes<NFTA_CHAIN_MAX> attributes(header, sizeof(nfgenmsg));
  const auto family = family_of(header);
  if (family != "ip" && family != "inet") return;
  const Attributes<NFTA_HOOK_MAX> hook(attributes[NFTA_CHAIN_HOOK]);
  chains.push_back({.family = family,
                    .table = std::string(get_text(attributes[NFTA_CHAIN_TABLE])),
                    .name = std::string(get_text(attributes[NFTA_CHAIN_NAME])),
                    .base = attributes[NFTA_CHAIN_HOOK] != nullptr,
                    .type = std::string(get_text(attributes[NFTA_CHAIN_TYPE])),
                    .hook = get_be32(hook[NFTA_HOOK_HOOKNUM]),
                    .priority = static_cast<int>(get_be32(hook[NFTA_HOOK_PRIORITY])),
                    .drop_policy = attributes[NFTA_CHAIN_POLICY] != nullptr &&
                                   get_be32(attributes[NFTA_CHAIN_POLICY]) == NF_DROP,
                    .use = get_be32(attributes[NFTA_CHAIN_USE])});
}

}  // namespace

NftTables::NftTables() {
  try {
    socket_ = open_socket(NETLINK_NETFILTER);
  } catch (const Error& error) {
    if (error.sys_errno() == EPROTONOSUPPORT) throw no_nf_tables(EPROTONOSUPPORT);
    throw;
  }
  generation();
}

std::uint32_t NftTables::generation() {
  const auto request = make_message(nft_message_type(NFT_MSG_GETGEN), 0, nfgenmsg{.version = NFNETLINK_V0});
  std::uint32_t id = 0;
  const int error = transact(socket_.get(), request.get(), [&id](const nlmsghdr& header) {
    id = get_be32(Attributes<NFTA_GEN_MAX>(header, sizeof(nfgenmsg))[NFTA_GEN_ID]);
  });
  if (error == EINVAL || error == EOPNOTSUPP) throw no_nf_tables(error);
  if (error != 0) throw Error::from_errno("read the generation of nf_tables", error);
  return id;
}

static_assert(NftTables::kFamilyIp == NFPROTO_IPV4);

std::optional<std::uint32_t> NftTables::flags(const std::string& table, std::uint8_t family) {
  const auto request = make_message(nft_message_type(NFT_MSG_GETTABLE), 0,
                                    nfgenmsg{.nfgen_family = family, .version = NFNETLINK_V0});
  put(request.get(), NFTA_TABLE_NAME, table);
  std::uint32_t flags = 0;
  const int error = transact(socket_.get(), request.get(), [&flags](const nlmsghdr& header) {
    flags = get_be32(Attributes<NFTA_TABLE_MAX>(header, sizeof(nfgenmsg))[NFTA_TABLE_FLAGS]);
  });
  if (error == ENOENT) return std::nullopt;
  if (error != 0) throw Error::from_errno(fmt::format("read nf_tables table {}", table), error);
  return flags;
}

std::vector<NftChain> nft_chains() {
  auto chains = dump_nft<NftChain>(NFT_MSG_GETCHAIN, "list nf_tables chains", parse_chain);
  if (chains.empty()) return chains;
  const auto dormant = dormant_tables();
  std::erase_if(chains, [&](const NftChain& one) {
    return std::ranges::find(dormant, TableName{one.family, one.table}) != dormant.end();
  });
  return chains;
}

std::vector<NftRule> nft_rules(const NftChain& chain) {
  const auto socket = open_socket(NETLINK_NETFILTER);
  const auto family = static_cast<std::uint8_t>(chain.family == "ip" ? NFPROTO_IPV4 : NFPROTO_INET);
  const auto request = make_message(nft_message_type(NFT_MSG_GETRULE), NLM_F_DUMP,
                                    nfgenmsg{.nfgen_family = family, .version = NFNETLINK_V0});
  put(request.get(), NFTA_RULE_TABLE, chain.table);
  put(request.get(), NFTA_RULE_CHAIN, chain.name);
  std::vector<NftRule> rules;
  const int error =
      dump(socket.get(), request.get(), rules,
           [](const nlmsghdr& header, std::vector<NftRule>& out) { out.push_back(parse_rule(header)); });
  if (error != 0) {
    throw Error::from_errno(
        fmt::format("list rules of nf_tables chain {} {} {}", chain.family, chain.table, chain.name), error);
  }
  return rules;
}

}  // namespace hostnet::netlink
