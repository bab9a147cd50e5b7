// Lists base chains and their devices.
#include "netlink/nft_hooks.hpp"

#include "netlink/nft_dump.hpp"

#include <algorithm>

namespace hostnet::netlink {
namespace {

// NFTA_DEVICE_PREFIX of newer kernels, which the headers of Debian 12 do not name.
constexpr int kDevicePrefix = 2;

void read_device(const nlattr* one, std::vector<std::string>& out) {
  const auto text = std::string(get_text(one));
  if (text.empty()) return;
  out.push_back(nla_type(one) == kDevicePrefix ? text + '*' : text);
}

std::vector<std::string> devices_of(const nlattr* hook_nest) {
  const Attributes<NFTA_HOOK_MAX> hook(hook_nest);
  std::vector<std::string> out;
  if (auto* const list = hook[NFTA_HOOK_DEVS]) {
    int left = nla_len(list);
    for (auto* one = static_cast<nlattr*>(nla_data(list)); nla_ok(one, left) != 0; one = nla_next(one, &left))
      read_device(one, out);
  } else if (const auto one = get_text(hook[NFTA_HOOK_DEV]); !one.empty()) {
    out.emplace_back(one);
  }
  return out;
}

}  // namespace

std::vector<NftHook> nft_hooks() {
  auto hooks = dump_nft<NftHook>(
      NFT_MSG_GETCHAIN, "list nf_tables chains", [](const nlmsghdr& header, std::vector<NftHook>& out) {
        const Attributes<NFTA_CHAIN_MAX> attributes(header, sizeof(nfgenmsg));
        if (attributes[NFTA_CHAIN_HOOK] == nullptr) return;
        out.push_back({.family = family_of(header),
                       .table = std::string(get_text(attributes[NFTA_CHAIN_TABLE])),
                       .chain = std::string(get_text(attributes[NFTA_CHAIN_NAME])),
                       .devices = devices_of(attributes[NFTA_CHAIN_HOOK])});
      });
  const auto dormant = dormant_tables();
  std::erase_if(hooks, [&](const NftHook& one) {
    return std::ranges::find(dormant, TableName{one.family, one.table}) != dormant.end();
  });
  return hooks;
}

}  // namespace hostnet::netlink
