// Writes changes of the kernel's nf_tables as the bytes of one netlink batch. In a header and without the C++
// runtime: the child that entered a container's network namespace, which may not allocate, and the program of
// the hand-off (src/handoff) both use it. libnftables is for this host's own tables (firewall/nftables).
//
// The layout is that of linux/netfilter/nfnetlink.h and nf_tables.h: a message to begin, any number of
// messages with attributes, a message to end. The kernel takes all of a batch or nothing.
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace hostnet::relay {

/// Changes of tables of the family ip. Has room for one lease's table, or for one door of it.
class NftBatch {
 public:
  NftBatch() noexcept { bracket(NFNL_MSG_BATCH_BEGIN); }

  /// One message of nf_tables with the attributes that `fill` writes. `mark` comes back with the kernel's
  /// answer to it.
  template <class Fill>
  void message(int type, int flags, std::uint32_t mark, Fill fill) noexcept {
    const auto at = size_;
    header(NFNL_SUBSYS_NFTABLES << 8 | type, flags, mark, AF_INET, 0);
    fill();
    const auto length = static_cast<std::uint32_t>(size_ - at);
    if (fits_) std::memcpy(bytes_ + at, &length, sizeof length);
  }

  void put(int type, const void* value, std::size_t length) noexcept {
    const auto at = attribute(type);
    append(value, length);
    close(at);
  }
  void text(int type, const char* value) noexcept { put(type, value, std::strlen(value) + 1); }
  void number(int type, std::uint32_t value) noexcept {
    const auto network = htonl(value);
    put(type, &network, sizeof network);
  }
  template <class Fill>
  void nest(int type, Fill fill) noexcept {
    const auto at = attribute(type | NLA_F_NESTED);
    fill();
    close(at);
  }
  /// One expression of a rule, with the attributes that `fill` writes. Call it in the list of expressions.
  template <class Fill>
  void expression(const char* name, Fill fill) noexcept {
    nest(NFTA_LIST_ELEM, [&] {
      text(NFTA_EXPR_NAME, name);
      nest(NFTA_EXPR_DATA, fill);
    });
  }

  /// Call once, at the end.
  void finish() noexcept { bracket(NFNL_MSG_BATCH_END); }
  /// False: there was no room for all of it.
  [[nodiscard]] bool fits() const noexcept { return fits_; }
  [[nodiscard]] std::size_t room() const noexcept { return sizeof bytes_ - size_; }
  [[nodiscard]] const char* data() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  void append(const void* value, std::size_t length) noexcept {
    const auto padded = NLMSG_ALIGN(length);
    if (!fits_ || padded > sizeof bytes_ - size_) {
      fits_ = false;
      return;
    }
    std::memcpy(bytes_ + size_, value, length);
    std::memset(bytes_ + size_ + length, 0, padded - length);
    size_ += padded;
    unpadded_ = padded - length;
  }
  void header(int type, int flags, std::uint32_t mark, int family, int resource) noexcept {
    nlmsghdr head{};
    head.nlmsg_len = NLMSG_LENGTH(sizeof(nfgenmsg));
    head.nlmsg_type = static_cast<std::uint16_t>(type);
    head.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    head.nlmsg_seq = mark;
    append(&head, sizeof head);
    nfgenmsg generic{};
    generic.nfgen_family = static_cast<std::uint8_t>(family);
    generic.version = NFNETLINK_V0;
    generic.res_id = htons(static_cast<std::uint16_t>(resource));
    append(&generic, sizeof generic);
  }
  void bracket(int type) noexcept { header(type, 0, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES); }
  std::size_t attribute(int type) noexcept {
    const auto at = size_;
    nlattr head{};
    head.nla_type = static_cast<std::uint16_t>(type);
    append(&head, sizeof head);
    unpadded_ = 0;
    return at;
  }
  // An attribute's length leaves out the padding behind a value, but not that inside a nest.
  void close(std::size_t at) noexcept {
    if (!fits_) return;
    const auto length = static_cast<std::uint16_t>(size_ - at - unpadded_);
    std::memcpy(bytes_ + at, &length, sizeof length);
    unpadded_ = 0;
  }

  static constexpr std::size_t kRoom = 8192;
  char bytes_[kRoom];
  std::size_t size_ = 0;
  std::size_t unpadded_ = 0;  // behind the last value
  bool fits_ = true;
};

}  // namespace hostnet::relay
