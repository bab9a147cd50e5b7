// An ordered list of leases; copies share their leases.
//
// Every change compares the old list with the new one, so several lists exist that differ in one lease of
// thousands. Lists share chunks of leases: changing a copy costs one chunk and a pointer per other chunk, and
// a lease at the same address in both lists is unchanged.
#pragma once

#include "lease/lease.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace hostnet::state {

/// A value type, oldest lease first. Leases change by replacement only. Thread safety as std::vector;
/// distinct copies are independent.
class LeaseList {
  struct Item {
    std::shared_ptr<const Lease> lease;
    std::uint64_t ports;  // mask_of() of all ports: a search need not follow every pointer
  };
  using Chunk = std::vector<Item>;  // never empty
  using Chunks = std::vector<std::shared_ptr<Chunk>>;

 public:
  class const_iterator {
   public:
    using value_type = Lease;
    using reference = const Lease&;
    using pointer = const Lease*;
    using difference_type = std::ptrdiff_t;
    using iterator_category = std::forward_iterator_tag;

    const_iterator() = default;
    explicit const_iterator(Chunks::const_iterator chunk) : chunk_(chunk) {}
    const Lease& operator*() const { return *(**chunk_)[at_].lease; }
    const Lease* operator->() const { return &**this; }
    const_iterator& operator++() {
      if (++at_ == (*chunk_)->size()) {
        ++chunk_;
        at_ = 0;
      }
      return *this;
    }
    const_iterator operator++(int) {
      auto before = *this;
      ++*this;
      return before;
    }
    bool operator==(const const_iterator&) const = default;

   private:
    friend class LeaseList;
    // Skips a chunk that both lists share, if both iterators are at its start.
    static bool skip_common(const_iterator& a, const_iterator& b) {
      if (a.at_ != 0 || b.at_ != 0 || *a.chunk_ != *b.chunk_) return false;
      ++a.chunk_;
      ++b.chunk_;
      return true;
    }

    Chunks::const_iterator chunk_;
    std::size_t at_ = 0;
  };
  using iterator = const_iterator;
  using value_type = Lease;

  LeaseList() = default;
  LeaseList(std::initializer_list<Lease> leases) : LeaseList(std::vector<Lease>(leases)) {}
  LeaseList(std::vector<Lease> leases) {  // NOLINT(google-explicit-constructor): a list of the same leases
    for (auto& lease : leases) push_back(std::move(lease));
  }

  [[nodiscard]] const_iterator begin() const { return const_iterator(chunks_.begin()); }
  [[nodiscard]] const_iterator end() const { return const_iterator(chunks_.end()); }
  [[nodiscard]] std::size_t size() const noexcept {
    std::size_t size = 0;
    for (const auto& chunk : chunks_) size += chunk->size();
    return size;
  }
  [[nodiscard]] bool empty() const noexcept { return chunks_.empty(); }
  [[nodiscard]] const Lease& front() const { return *chunks_.front()->front().lease; }
  [[nodiscard]] const Lease& back() const { return *chunks_.back()->back().lease; }

  /// The lease with this id, or nullptr.
  [[nodiscard]] const Lease* find(std::string_view id) const {
    const auto found = std::find_if(begin(), end(), [&](const Lease& lease) { return lease.id == id; });
    return found == end() ? nullptr : &*found;
  }

  /// Calls `visit(const Lease&)`, oldest first, for every lease with one of these container ports; may also
  /// visit leases without one.
  template <class Visit>
  void visit_near(const std::vector<std::uint16_t>& ports, Visit visit) const {
    std::vector<std::uint64_t> masks;
    for (const auto port : ports) masks.push_back(mask_of(port));
    for (const auto& chunk : chunks_)
      for (const auto& item : *chunk)
        if (std::ranges::any_of(masks, [&](auto mask) { return (item.ports & mask) == mask; }))
          visit(*item.lease);
  }

  /// Compares two lists whose common leases are usually in the same order; a lease that moved counts as gone
  /// and come. Calls `changed(const Lease& before, const Lease& after)` for the same id in different objects,
  /// `gone(const Lease&)` for leases only in `before`, `come(const Lease&)` for leases only in `after`.
  template <class Changed, class Gone, class Come>
  static void compare(const LeaseList& before, const LeaseList& after, Changed changed, Gone gone,
                      Come come) {
    auto now = after.begin();
    for (auto was = before.begin(); was != before.end();) {
      if (now != after.end() && const_iterator::skip_common(was, now)) continue;
      if (now == after.end() || now->id != was->id) {
        gone(*was++);
        continue;
      }
      if (&*now != &*was) changed(*was, *now);
      ++was;
      ++now;
    }
    for (; now != after.end(); ++now) come(*now);
  }

  void push_back(Lease lease) {
    if (chunks_.empty() || chunks_.back()->size() >= kChunk)
      chunks_.push_back(std::make_shared<Chunk>());
    else
      own(chunks_.back());
    chunks_.back()->push_back(item_of(std::move(lease)));
  }
  /// Replaces the lease with the same id. @return false if there is none.
  bool replace(Lease lease) {
    bool found = false;
    change_if([&](const Lease& present) { return present.id == lease.id; },
              [&](Lease& present) {
                present = lease;
                found = true;
              });
    return found;
  }
  /// Replaces each lease for which `wanted` is true by a copy changed by `change(Lease&)`.
  template <class Wanted, class Change>
  void change_if(Wanted wanted, Change change) {
    for (auto& chunk : chunks_)
      for (std::size_t i = 0; i < chunk->size(); ++i) {
        if (!wanted(*(*chunk)[i].lease)) continue;
        auto copy = *(*chunk)[i].lease;
        change(copy);
        own(chunk)[i] = item_of(std::move(copy));
      }
  }
  /// Removes the leases for which the predicate is true.
  template <class Predicate>
  void erase_if(Predicate predicate) {
    const auto is_wanted = [&](const Item& item) { return predicate(*item.lease); };
    for (auto& chunk : chunks_)
      if (std::any_of(chunk->begin(), chunk->end(), is_wanted)) std::erase_if(own(chunk), is_wanted);
    std::erase_if(chunks_, [](const auto& chunk) { return chunk->empty(); });
  }

  bool operator==(const LeaseList& other) const {
    return chunks_ == other.chunks_ ||
           (size() == other.size() &&
            std::equal(begin(), end(), other.begin(),
                       [](const auto& a, const auto& b) { return &a == &b || a == b; }));
  }

 private:
  // About the number of chunks at the maximum number of leases.
  static constexpr std::size_t kChunk = 128;

  // Sets two of 64 bits: about one port in a thousand collides.
  static std::uint64_t mask_of(std::uint16_t port) {
    return std::uint64_t{1} << (port % 64) | std::uint64_t{1} << (port * 40503U >> 8 & 63U);
  }
  static Item item_of(Lease lease) {
    std::uint64_t ports = 0;
    for (const auto& port : lease.ports) ports |= mask_of(port.container);
    return {std::make_shared<const Lease>(std::move(lease)), ports};
  }
  static Chunk& own(std::shared_ptr<Chunk>& chunk) {
    if (chunk.use_count() > 1) chunk = std::make_shared<Chunk>(*chunk);
    return *chunk;
  }

  Chunks chunks_;
};

}  // namespace hostnet::state
