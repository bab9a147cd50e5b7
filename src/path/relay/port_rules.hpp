// The table of a port map as messages to the kernel: what port_map.hpp, which has the theory, sends. Pure.
#pragma once

#include "path/relay/bound_socket.hpp"
#include "path/relay/nft_batch.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <linux/netfilter.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>

namespace hostnet::relay {

class PortRules {
 public:
  /// Comes back with the kernel's answer to the table of a door; with others comes 0.
  static constexpr std::uint32_t kDoorMark = 1;

  /// For a lease of this id, whose doors are at `address` (in network byte order). False: it is too long.
  bool name(const char* lease, in_addr_t address) noexcept {
    if (std::strlen(lease) >= sizeof lease_) return false;
    join(lease_, lease, "");
    join(table_, "tc_hostnet_", lease);
    address_ = address;
    return true;
  }
  [[nodiscard]] in_addr_t address() const noexcept { return address_; }

  /// The table, without any door.
  void write_table(NftBatch& batch) const noexcept {
    write_new_table(batch, table_, 0);
    constexpr const char* sets[] = {kTcpIn, kTcpOut, kUdpIn, kUdpOut};
    std::uint32_t number = 0;
    for (const auto* const set : sets) write_set(batch, set, ++number);
    write_chain(batch, kInward, NF_INET_PRE_ROUTING);
    write_chain(batch, kOutward, NF_INET_LOCAL_OUT);
    write_rules(batch);
  }
  /// One door: its own table, which shows that it is taken, and its place in the maps.
  void write_door(NftBatch& batch, Door door, std::uint16_t behind) const noexcept {
    const bool is_udp = door.type == SOCK_DGRAM;
    char name[kNameRoom];
    name_of(door, name);
    write_new_table(batch, name, kDoorMark);
    write_element(batch, is_udp ? kUdpIn : kTcpIn, door.port, behind);
    write_element(batch, is_udp ? kUdpOut : kTcpOut, behind, door.port);
  }

  /// The end of the table, and of a door's.
  void write_removal(NftBatch& batch) const noexcept { write_end_of(batch, table_); }
  void write_removal(NftBatch& batch, Door door) const noexcept {
    char name[kNameRoom];
    name_of(door, name);
    write_end_of(batch, name);
  }

 private:
  static constexpr std::size_t kNameRoom = 64;
  static constexpr const char* kInward = "inward";
  static constexpr const char* kOutward = "outward";
  static constexpr const char* kTcpIn = "tcp_in";
  static constexpr const char* kTcpOut = "tcp_out";
  static constexpr const char* kUdpIn = "udp_in";
  static constexpr const char* kUdpOut = "udp_out";
  // Before connection tracking (-200) and other rules that look at ports.
  static constexpr int kPriority = -300;
  static constexpr int kLoopbackIndex = 1;  // of lo in every network namespace

  // Offsets in headers.
  static constexpr std::uint32_t kSource = 12;
  static constexpr std::uint32_t kDestination = 16;
  static constexpr std::uint32_t kSourcePort = 0;
  static constexpr std::uint32_t kDestinationPort = 2;
  static constexpr std::uint32_t kTcpChecksum = 16;
  static constexpr std::uint32_t kUdpChecksum = 6;
  static constexpr std::uint32_t kIcmpChecksum = 2;
  static constexpr std::uint32_t kIcmpPacket = 8;  // the head of the packet that was refused
  static constexpr std::uint32_t kPlainHeader = 20;
  static constexpr std::uint32_t kIpProtocol = 9;

  static void join(char* out, const char* first, const char* second) noexcept {
    for (const auto* part : {first, second})
      for (; *part != '\0'; ++part) *out++ = *part;
    *out = '\0';
  }
  static void name_of(Door door, char* out) noexcept {
    char digits[8];
    auto* at = digits + sizeof digits;
    *--at = '\0';
    for (unsigned left = door.port; left != 0; left /= 10) *--at = static_cast<char>('0' + left % 10);
    join(out, door.type == SOCK_DGRAM ? "tc_hostnet_udp_" : "tc_hostnet_tcp_", at);
  }

  void write_new_table(NftBatch& batch, const char* name, std::uint32_t mark) const noexcept {
    batch.message(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, mark, [&] {
      batch.text(NFTA_TABLE_NAME, name);
      batch.number(NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER);
      // As nft(8) has a comment: a kind, a length, and the text with its end.
      char comment[2 + kNameRoom];
      join(comment + 2, "tc-hostnet, lease ", lease_);
      comment[0] = 0;
      comment[1] = static_cast<char>(std::strlen(comment + 2) + 1);
      batch.put(NFTA_TABLE_USERDATA, comment, 2U + static_cast<unsigned char>(comment[1]));
    });
  }

  static void write_end_of(NftBatch& batch, const char* name) noexcept {
    batch.message(NFT_MSG_DELTABLE, 0, 0, [&] { batch.text(NFTA_TABLE_NAME, name); });
  }

  void write_set(NftBatch& batch, const char* name, std::uint32_t number) const noexcept {
    constexpr std::uint32_t inet_service = 13;  // nft(8)'s number of the type
    batch.message(NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL, 0, [&] {
      batch.text(NFTA_SET_TABLE, table_);
      batch.text(NFTA_SET_NAME, name);
      batch.number(NFTA_SET_FLAGS, NFT_SET_MAP);
      batch.number(NFTA_SET_KEY_TYPE, inet_service);
      batch.number(NFTA_SET_KEY_LEN, sizeof(std::uint16_t));
      batch.number(NFTA_SET_DATA_TYPE, inet_service);
      batch.number(NFTA_SET_DATA_LEN, sizeof(std::uint16_t));
      batch.number(NFTA_SET_ID, number);
    });
  }

  void write_element(NftBatch& batch, const char* set, std::uint16_t key,
                     std::uint16_t value) const noexcept {
    batch.message(NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, 0, [&] {
      batch.text(NFTA_SET_ELEM_LIST_TABLE, table_);
      batch.text(NFTA_SET_ELEM_LIST_SET, set);
      batch.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&] {
        batch.nest(NFTA_LIST_ELEM, [&] {
          const auto from = htons(key);
          const auto to = htons(value);
          batch.nest(NFTA_SET_ELEM_KEY, [&] { batch.put(NFTA_DATA_VALUE, &from, sizeof from); });
          batch.nest(NFTA_SET_ELEM_DATA, [&] { batch.put(NFTA_DATA_VALUE, &to, sizeof to); });
        });
      });
    });
  }

  void write_chain(NftBatch& batch, const char* name, std::uint32_t hook) const noexcept {
    batch.message(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL, 0, [&] {
      batch.text(NFTA_CHAIN_TABLE, table_);
      batch.text(NFTA_CHAIN_NAME, name);
      batch.nest(NFTA_CHAIN_HOOK, [&] {
        batch.number(NFTA_HOOK_HOOKNUM, hook);
        batch.number(NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(kPriority));
      });
      batch.text(NFTA_CHAIN_TYPE, "filter");
    });
  }

  template <class Expressions>
  void write_rule(NftBatch& batch, const char* chain, Expressions expressions) const noexcept {
    batch.message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, 0, [&] {
      batch.text(NFTA_RULE_TABLE, table_);
      batch.text(NFTA_RULE_CHAIN, chain);
      batch.nest(NFTA_RULE_EXPRESSIONS, expressions);
    });
  }

  // Expressions work on one register.
  static void load(NftBatch& batch, nft_payload_bases header, std::uint32_t offset,
                   std::uint32_t length) noexcept {
    batch.expression("payload", [&] {
      batch.number(NFTA_PAYLOAD_DREG, NFT_REG_1);
      batch.number(NFTA_PAYLOAD_BASE, header);
      batch.number(NFTA_PAYLOAD_OFFSET, offset);
      batch.number(NFTA_PAYLOAD_LEN, length);
    });
  }
  static void load_meta(NftBatch& batch, nft_meta_keys key) noexcept {
    batch.expression("meta", [&] {
      batch.number(NFTA_META_KEY, key);
      batch.number(NFTA_META_DREG, NFT_REG_1);
    });
  }
  template <class Value>
  static void compare(NftBatch& batch, nft_cmp_ops how, Value value) noexcept {
    batch.expression("cmp", [&] {
      batch.number(NFTA_CMP_SREG, NFT_REG_1);
      batch.number(NFTA_CMP_OP, how);
      batch.nest(NFTA_CMP_DATA, [&] { batch.put(NFTA_DATA_VALUE, &value, sizeof value); });
    });
  }
  static void accept(NftBatch& batch) noexcept {
    batch.expression("immediate", [&] {
      batch.number(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
      batch.nest(NFTA_IMMEDIATE_DATA,
                 [&] { batch.nest(NFTA_DATA_VERDICT, [&] { batch.number(NFTA_VERDICT_CODE, NF_ACCEPT); }); });
    });
  }
  static void is_protocol(NftBatch& batch, int protocol) noexcept {
    load_meta(batch, NFT_META_L4PROTO);
    compare(batch, NFT_CMP_EQ, static_cast<std::uint8_t>(protocol));
  }
  // Ends the rule if the map does not have the port. `checksum`: where that of the header is; 0: none.
  static void rewrite(NftBatch& batch, std::uint32_t port_at, const char* map,
                      std::uint32_t checksum) noexcept {
    load(batch, NFT_PAYLOAD_TRANSPORT_HEADER, port_at, sizeof(std::uint16_t));
    batch.expression("lookup", [&] {
      batch.text(NFTA_LOOKUP_SET, map);
      batch.number(NFTA_LOOKUP_SREG, NFT_REG_1);
      batch.number(NFTA_LOOKUP_DREG, NFT_REG_1);
    });
    batch.expression("payload", [&] {
      batch.number(NFTA_PAYLOAD_SREG, NFT_REG_1);
      batch.number(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
      batch.number(NFTA_PAYLOAD_OFFSET, port_at);
      batch.number(NFTA_PAYLOAD_LEN, sizeof(std::uint16_t));
      batch.number(NFTA_PAYLOAD_CSUM_TYPE, checksum == 0 ? NFT_PAYLOAD_CSUM_NONE : NFT_PAYLOAD_CSUM_INET);
      batch.number(NFTA_PAYLOAD_CSUM_OFFSET, checksum);
    });
  }

  void write_rules(NftBatch& batch) const noexcept {
    write_rule(batch, kInward, [&] {
      load_meta(batch, NFT_META_IIF);
      compare(batch, NFT_CMP_NEQ, kLoopbackIndex);
      accept(batch);
    });
    write_ports(batch, kInward, kDestination, kDestinationPort, kTcpIn, kUdpIn);
    write_ports(batch, kOutward, kSource, kSourcePort, kTcpOut, kUdpOut);
    write_rule(batch, kOutward, [&] {
      constexpr std::uint8_t unreachable = 3;
      constexpr std::uint8_t version_and_length =
          0x45;  // no options: the ports are where they are looked for
      is_protocol(batch, IPPROTO_ICMP);
      load(batch, NFT_PAYLOAD_TRANSPORT_HEADER, 0, sizeof unreachable);
      compare(batch, NFT_CMP_EQ, unreachable);
      load(batch, NFT_PAYLOAD_TRANSPORT_HEADER, kIcmpPacket, sizeof version_and_length);
      compare(batch, NFT_CMP_EQ, version_and_length);
      load(batch, NFT_PAYLOAD_TRANSPORT_HEADER, kIcmpPacket + kIpProtocol, 1);
      compare(batch, NFT_CMP_EQ, static_cast<std::uint8_t>(IPPROTO_UDP));
      rewrite(batch, kIcmpPacket + kPlainHeader + kDestinationPort, kUdpOut, kIcmpChecksum);
    });
  }
  void write_ports(NftBatch& batch, const char* chain, std::uint32_t address_at, std::uint32_t port_at,
                   const char* tcp, const char* udp) const noexcept {
    write_rule(batch, chain, [&] {
      load(batch, NFT_PAYLOAD_NETWORK_HEADER, address_at, sizeof address_);
      compare(batch, NFT_CMP_NEQ, address_);
      accept(batch);
    });
    write_rule(batch, chain, [&] {
      is_protocol(batch, IPPROTO_TCP);
      rewrite(batch, port_at, tcp, kTcpChecksum);
    });
    // A UDP sender may go without a checksum, which is 0 then and has to stay so.
    write_rule(batch, chain, [&] {
      is_protocol(batch, IPPROTO_UDP);
      load(batch, NFT_PAYLOAD_TRANSPORT_HEADER, kUdpChecksum, sizeof(std::uint16_t));
      compare(batch, NFT_CMP_EQ, std::uint16_t{0});
      rewrite(batch, port_at, udp, 0);
    });
    write_rule(batch, chain, [&] {
      is_protocol(batch, IPPROTO_UDP);
      rewrite(batch, port_at, udp, kUdpChecksum);
    });
  }

  in_addr_t address_ = 0;
  char lease_[32] = {};
  char table_[kNameRoom] = {};
};

}  // namespace hostnet::relay
