// The messages for a port map as bytes, and the choice of a port. What the kernel makes of them is tested in
// network namespaces (tests/netns/path/relay/test_port_map.cpp).
#include "path/relay/nft_batch.hpp"
#include "path/relay/port_map.hpp"
#include "path/relay/port_rules.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

using namespace hostnet::relay;

namespace {

std::string_view bytes_of(const NftBatch& batch) { return {batch.data(), batch.size()}; }

// The types of the messages, each of which has to end where the next one begins, as its attributes have to.
std::vector<int> types_of(const NftBatch& batch) {
  std::vector<int> out;
  const auto bytes = bytes_of(batch);
  for (std::size_t at = 0; at < bytes.size();) {
    nlmsghdr head{};
    REQUIRE(bytes.size() - at >= sizeof head + sizeof(nfgenmsg));
    std::memcpy(&head, bytes.data() + at, sizeof head);
    REQUIRE(head.nlmsg_len >= sizeof head + sizeof(nfgenmsg));
    REQUIRE(head.nlmsg_len <= bytes.size() - at);
    for (std::size_t inside = sizeof head + sizeof(nfgenmsg); inside < head.nlmsg_len;) {
      nlattr attribute{};
      std::memcpy(&attribute, bytes.data() + at + inside, sizeof attribute);
      REQUIRE(attribute.nla_len >= sizeof attribute);
      REQUIRE(attribute.nla_len <= head.nlmsg_len - inside);
      inside += NLA_ALIGN(attribute.nla_len);
    }
    out.push_back(head.nlmsg_type & 0xff);
    at += NLMSG_ALIGN(head.nlmsg_len);
  }
  return out;
}

PortRules rules_of(const char* lease) {
  PortRules out;
  REQUIRE(out.name(lease, inet_addr("127.0.0.77")));
  return out;
}

}  // namespace

TEST_CASE("a batch of messages is whole, in order, and between its brackets") {
  NftBatch batch;
  rules_of("0a1b2c3d").write_table(batch);
  batch.finish();
  REQUIRE(batch.fits());
  CHECK(types_of(batch) == std::vector<int>{NFNL_MSG_BATCH_BEGIN, NFT_MSG_NEWTABLE, NFT_MSG_NEWSET,
                                            NFT_MSG_NEWSET, NFT_MSG_NEWSET, NFT_MSG_NEWSET, NFT_MSG_NEWCHAIN,
                                            NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE, NFT_MSG_NEWRULE,
                                            NFT_MSG_NEWRULE, NFT_MSG_NEWRULE, NFT_MSG_NEWRULE,
                                            NFT_MSG_NEWRULE, NFT_MSG_NEWRULE, NFT_MSG_NEWRULE,
                                            NFT_MSG_NEWRULE, NFT_MSG_NEWRULE, NFNL_MSG_BATCH_END});
  CHECK(bytes_of(batch).find(std::string_view("tc_hostnet_0a1b2c3d\0", 20)) != std::string_view::npos);
  CHECK(bytes_of(batch).find("tc-hostnet, lease 0a1b2c3d") != std::string_view::npos);
}

TEST_CASE("a door has a table of its own and two places in the maps of its protocol") {
  NftBatch batch;
  rules_of("1").write_door(batch, Door(53, SOCK_DGRAM), 61053);
  batch.finish();
  CHECK(types_of(batch) == std::vector<int>{NFNL_MSG_BATCH_BEGIN, NFT_MSG_NEWTABLE, NFT_MSG_NEWSETELEM,
                                            NFT_MSG_NEWSETELEM, NFNL_MSG_BATCH_END});
  CHECK(bytes_of(batch).find("tc_hostnet_udp_53") != std::string_view::npos);
  CHECK(bytes_of(batch).find("udp_in") != std::string_view::npos);
  CHECK(bytes_of(batch).find("tcp_in") == std::string_view::npos);
  NftBatch end;
  rules_of("1").write_removal(end, Door(65535));
  CHECK(types_of(end) == std::vector<int>{NFNL_MSG_BATCH_BEGIN, NFT_MSG_DELTABLE});
  CHECK(bytes_of(end).find("tc_hostnet_tcp_65535") != std::string_view::npos);
}

TEST_CASE("what has no room is told, and nothing is written beyond it") {
  NftBatch batch;
  const auto rules = rules_of("1");
  for (int i = 0; i < 100; ++i) rules.write_table(batch);
  batch.finish();
  CHECK_FALSE(batch.fits());
  CHECK(batch.size() <= 8192);
  PortRules long_name;
  CHECK_FALSE(long_name.name(std::string(32, 'a').c_str(), 0));
  CHECK(long_name.name(std::string(31, 'a').c_str(), 0));
}

TEST_CASE("doors go behind ports above the ephemeral ones") {
  CHECK(first_port_behind("32768\t60999\n") == 61000);
  CHECK(first_port_behind("1024 49151") == 49152);
  CHECK(first_port_behind("1024\t65535\n") == 64512);
  CHECK(first_port_behind("1024\t64600\n") == 64512);
  for (const auto* const odd : {"", "\n", "32768", "32768\tmany", "1\t99999999999999999999"})
    CHECK(first_port_behind(odd) == 61000);
}
