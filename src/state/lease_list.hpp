// The leases that are held, in order, shared between copies of the list.
//
// Every change of what is held compares what was with what will be, so there are always several lists that
// differ in one lease of thousands. A copy costs nothing, a copy that is changed a pointer a lease, and two
// lists show by the address of a lease that it is as it was.
#pragma once

#include "state/lease.hpp"

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace hostnet::state {

/// A value; what it holds is changed by replacing it. Oldest first. As thread-safe as a vector, copies apart.
class LeaseList {
  using Items = std::vector<std::shared_ptr<const Lease>>;

 public:
  class const_iterator {
   public:
    using value_type = Lease;
    using reference = const Lease&;
    using pointer = const Lease*;
    using difference_type = std::ptrdiff_t;
    using iterator_category = std::forward_iterator_tag;

    const_iterator() = default;
    explicit const_iterator(Items::const_iterator at) : at_(at) {}
    const Lease& operator*() const { return **at_; }
    const Lease* operator->() const { return at_->get(); }
    const_iterator& operator++() {
      ++at_;
      return *this;
    }
    const_iterator operator++(int) { return const_iterator(at_++); }
    bool operator==(const const_iterator&) const = default;

   private:
    Items::const_iterator at_;
  };
  using iterator = const_iterator;
  using value_type = Lease;

  LeaseList() = default;
  LeaseList(std::initializer_list<Lease> leases) : LeaseList(std::vector<Lease>(leases)) {}
  LeaseList(std::vector<Lease> leases) {  // NOLINT(google-explicit-constructor): a list of the same leases
    items_->reserve(leases.size());
    for (auto& lease : leases) push_back(std::move(lease));
  }

  [[nodiscard]] const_iterator begin() const { return const_iterator(items_->begin()); }
  [[nodiscard]] const_iterator end() const { return const_iterator(items_->end()); }
  [[nodiscard]] std::size_t size() const noexcept { return items_->size(); }
  [[nodiscard]] bool empty() const noexcept { return items_->empty(); }
  [[nodiscard]] const Lease& front() const { return *items_->front(); }
  [[nodiscard]] const Lease& back() const { return *items_->back(); }

  /// nullptr when there is none with this id.
  [[nodiscard]] const Lease* find(std::string_view id) const {
    const auto found = std::ranges::find(*items_, id, &LeaseList::id_of);
    return found == items_->end() ? nullptr : found->get();
  }

  void push_back(Lease lease) { own().push_back(std::make_shared<const Lease>(std::move(lease))); }
  /// Puts a lease into the place of the one with its id. @return false when there is none.
  bool replace(Lease lease) {
    auto& items = own();
    const auto place = std::ranges::find(items, std::string_view(lease.id), &LeaseList::id_of);
    if (place == items.end()) return false;
    *place = std::make_shared<const Lease>(std::move(lease));
    return true;
  }
  /// Puts a copy that `change(Lease&)` has been let at into the place of each lease of which `wanted` is
  /// true.
  template <class Wanted, class Change>
  void change_if(Wanted wanted, Change change) {
    for (auto& item : own()) {
      if (!wanted(*item)) continue;
      auto copy = *item;
      change(copy);
      item = std::make_shared<const Lease>(std::move(copy));
    }
  }
  /// Removes the leases of which this is true.
  template <class Predicate>
  void erase_if(Predicate predicate) {
    std::erase_if(own(), [&](const auto& item) { return predicate(*item); });
  }

  bool operator==(const LeaseList& other) const {
    return items_ == other.items_ ||
           std::ranges::equal(*items_, *other.items_,
                              [](const auto& a, const auto& b) { return a == b || *a == *b; });
  }

 private:
  static std::string_view id_of(const std::shared_ptr<const Lease>& item) { return item->id; }
  Items& own() {
    if (items_.use_count() > 1) items_ = std::make_shared<Items>(*items_);
    return *items_;
  }

  std::shared_ptr<Items> items_ = std::make_shared<Items>();
};

}  // namespace hostnet::state
