// Holds leases for this process.
//
//   state here        begins with               ends with
//   active            hold(), adopt()           release(); the monitor (monitor.cpp)
//   leaving           release(), `leaving_`     released; active again if the tear-down fails
//   released, failed  the end of its rules      forget(), from its handle's destructor
//
//   call              locks, in order                 bounded by
//   hold()            work_, the journal's, mutex_;   the caller's deadline; 10 s more to go back (kWayBack);
//                     none while it edits names       release_deadline more if names cannot be written;
//                                                     kAliasBudget and 10 s (the journal) to remove names
//   release()         as hold()                       release_deadline (30 s), then kAliasBudget; a second
//                                                     caller waits for the first
//   adopt()           as hold()                       the caller's deadline
//   ~Holder()         as its threads                  the threads' current work, then kAliasBudget
#include "path/native/holder.hpp"

#include "core/log.hpp"
#include "hostnet/error.hpp"
#include "lease/container_alias.hpp"
#include "lease/exposure_impl.hpp"
#include "lease/joined_names.hpp"
#include "lease/lease_id.hpp"
#include "path/native/names.hpp"
#include "path/native/native.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <iterator>

namespace hostnet::exposer {
namespace {

// The implementation of a handle: one lease of the holder.
class HeldExposure : public Exposure::Impl, public JoinedNames {
 public:
  explicit HeldExposure(std::shared_ptr<Holder> holder) : holder_(std::move(holder)) {
    via = kNativePath.name;
  }
  ~HeldExposure() override { holder_->forget(id); }
  void release() override { holder_->release(id); }
  [[nodiscard]] ExposureState state() const override { return holder_->state(id); }
  [[nodiscard]] std::string reason() const override { return holder_->reason(id); }
  [[nodiscard]] std::string unpinned() const override { return holder_->unpinned(id); }
  void take_in(const engine::Container& container, Deadline deadline) override {
    holder_->take_in(id, engine::alias_record(container), may_be_bare(container), deadline);
  }
  void let_go(const engine::Container& container, Deadline deadline) override {
    holder_->let_go_of(id, container.id, may_be_bare(container), deadline);
  }

 private:
  std::shared_ptr<Holder> holder_;
};

}  // namespace

Holder::Holder(Settings settings)
    : settings_(std::move(settings)), store_(settings_.runtime_dir, settings_.firewall) {}

Holder::~Holder() {
  if (thread_.joinable()) {
    loop_.stop();
    thread_.join();
  }
  if (tidier_.joinable()) tidier_.join();
  finish_new_names();
}

std::vector<Exposure> Holder::hold(std::vector<state::Lease> leases,
                                   const std::vector<state::Bridge>& bridges, Deadline deadline) {
  std::vector<Exposure> exposures;
  try {
    exposures = put_into_effect(leases, bridges, deadline);
  } catch (...) {
    finish_new_names();
    throw;
  }
  // The leases are held now. Their names are written without a lock.
  const auto budget = name_budget(deadline);
  try {
    write_names(leases, budget);
  } catch (...) {
    try {
      std::set<std::string> ids;
      for (const auto& lease : leases) ids.insert(lease.id);
      give_back(std::move(ids));
    } catch (const std::exception& error) {
      log::error("undoing the set-up: {}", error.what());
    }
    throw;
  }
  // Uses a separate budget: write_names() may have used up the other.
  take_out(names_of_released(leases), Deadline::after(engine::kAliasBudget));
  finish_new_names();
  return exposures;
}

// Sets up all leases or none, without their names.
std::vector<Exposure> Holder::put_into_effect(std::vector<state::Lease>& leases,
                                              const std::vector<state::Bridge>& bridges, Deadline deadline) {
  std::vector<Exposure> out;  // declared before the locks: on failure the handles end after them
  const std::scoped_lock work(work_);
  auto transaction = store_.begin(deadline);
  // Closed descriptors end our own leases through KeepaliveWatch, so reap() skips their owners.
  for (auto& ended : transaction.reap([this] { return active(); })) end(std::move(ended));
  try {
    for (auto& lease : leases) {
      lease.id = new_lease_id();
      if (lease.owner.token.empty()) {
        if (!owner_) owner_.emplace(store_.folder());
        lease.owner = owner_->id();
      }
      lease.created = std::time(nullptr);
    }
    // Subscribe before the set-up, so that a flush during the set-up is noticed.
    if (!monitors_) subscribe();
    transaction.add(leases, bridges);
    want_check();
    start_watching();
    const auto& held = transaction.held();
    for (const auto& lease : leases)
      out.push_back(handle_of(*held.lease(lease.id), held.bridge(lease.ifindex)->name));
  } catch (...) {
    for (const auto& lease : leases) forget(lease.id);
    transaction.go_back();
    drop_owner_if_idle(transaction);
    throw;
  }
  return out;
}

// Names just written for leases that another process has released meanwhile: path/native/names.hpp.
std::vector<state::NameLeft> Holder::names_of_released(const std::vector<state::Lease>& leases) {
  std::vector<state::NameLeft> names;
  if (std::ranges::all_of(leases, [](const auto& lease) { return lease.aliases.empty(); })) return names;
  const std::scoped_lock work(work_);
  const auto held = store_.peek();
  for (const auto& lease : leases) {
    const auto* const present = held.lease(lease.id);
    if (present == nullptr || present->releasing)
      std::ranges::move(names_of(lease), std::back_inserter(names));
  }
  return names;
}

Holder::Adopted Holder::adopt(Deadline deadline) {
  Adopted adopted;  // declared before the locks: on failure the handles end after them
  const std::scoped_lock work(work_);
  auto transaction = store_.begin(deadline);
  transaction.reap();
  const auto& held = transaction.held();
  const auto outlives_us = [](const state::Lease& lease) {
    return lease.owner.lifetime == state::Lifetime::descriptor ||
           lease.owner.lifetime == state::Lifetime::persistent;
  };
  if (std::ranges::any_of(held.leases, outlives_us)) {
    start_watching();
    want_check();  // no process has monitored them for a while
  }
  for (const auto& lease : held.leases)
    if (outlives_us(lease)) adopted.emplace_back(lease, handle_of(lease, held.bridge(lease.ifindex)->name));
  drop_owner_if_idle(transaction);
  return adopted;
}

// Gives a held lease its handle, its entry in held_ and a watch on its descriptor.
Exposure Holder::handle_of(const state::Lease& lease, const std::string& bridge) {
  auto impl = std::make_shared<HeldExposure>(shared_from_this());
  impl->id = lease.id;
  impl->ports = lease.ports;
  impl->gateway = lease.gateways.front().to_string();
  impl->known.set(lease.id, lease.ports, {impl->gateway});
  impl->interface = bridge;
  const std::scoped_lock lock(mutex_);
  held_[lease.id] = {.state = ExposureState::active,
                     .reason = {},
                     .expires = lease.expires,
                     .ifindex = lease.ifindex,
                     .unpinned = why_unpinned(lease)};
  if (lease.owner.lifetime == state::Lifetime::descriptor) keepalives_->add(lease.id, lease.owner.token);
  return Exposure(std::move(impl));
}

void Holder::restrict_to(const std::string& lease, const Served& served, Deadline deadline) {
  const std::scoped_lock work(work_);
  auto transaction = store_.begin(deadline);
  const auto* const present = transaction.held().lease(lease);
  if (present == nullptr) throw Error(Errc::not_found, fmt::format("lease {} is no longer held", lease));
  auto restricted = *present;
  restricted.target = served.target;
  restricted.sources = {served.source};
  restricted.served = served.process;
  restricted.port = served.port;
  restricted.unpinned = served.unpinned;
  transaction.amend(std::move(restricted));
  const std::scoped_lock lock(mutex_);
  if (const auto found = held_.find(lease); found != held_.end())
    found->second.unpinned = why_unpinned(*transaction.held().lease(lease));
}

// As hold(): the journal has the name before it is written.
void Holder::take_in(const std::string& lease, const engine::AliasRecord& record, bool bare,
                     Deadline deadline) {
  state::Lease one;
  {
    const std::scoped_lock work(work_);
    auto transaction = store_.begin(deadline);
    const auto* const present = transaction.held().lease(lease);
    if (present == nullptr || present->releasing) return;
    one = *present;
    // An earlier run of the same container has another process, and a file that the engine has written anew.
    std::erase_if(one.aliases, [&](const auto& known) { return known.container == record.container; });
    one.aliases.push_back(record);
    // A name that is still to be removed there would take this one with it.
    auto left = transaction.held().names;
    std::erase_if(left, [&](const state::NameLeft& name) {
      return name.lease == lease && name.record.container == record.container;
    });
    transaction.settle(std::move(left));
    transaction.amend(one);
  }
  one.aliases = {record};
  write_names(std::span(&one, 1), name_budget(deadline), bare);
  take_out(names_of_released({one}), Deadline::after(engine::kAliasBudget));
}

// The journal has the name as one to remove before the lease no longer has it.
void Holder::let_go_of(const std::string& lease, const std::string& container, bool bare, Deadline deadline) {
  std::vector<engine::AliasEdit> edits;
  {
    const std::scoped_lock work(work_);
    auto transaction = store_.begin(deadline);
    const auto* const present = transaction.held().lease(lease);
    if (present == nullptr || present->releasing) return;
    auto one = *present;
    const auto is_there = [&](const engine::AliasRecord& record) { return record.container == container; };
    auto left = transaction.held().names;
    for (const auto& record : one.aliases) {
      if (!is_there(record)) continue;
      left.push_back({.lease = lease, .record = record});
      edits.push_back({record, lease, std::nullopt});
      if (bare) edits.back().bare = one.gateways.front();
    }
    if (std::erase_if(one.aliases, is_there) == 0) return;
    transaction.settle(std::move(left));
    transaction.amend(std::move(one));
  }
  // What this cannot remove, the next one tells, and tries again.
  static_cast<void>(engine::edit_aliases(edits, kAlias, Deadline::after(engine::kAliasBudget)));
  finish_names(store_, Deadline::after(engine::kAliasBudget), &work_);
}

void Holder::release(const std::string& lease) { give_back({lease}); }

// A second caller waits for the first; then it returns, or retries what the first could not remove.
void Holder::give_back(std::set<std::string> leases) {
  {
    std::unique_lock lock(mutex_);
    left_.wait(lock, [&] {
      return std::ranges::none_of(leases, [this](const auto& lease) { return leaving_.contains(lease); });
    });
    leaving_.insert(leases.begin(), leases.end());
  }
  const auto done = [this, &leases] {
    {
      const std::scoped_lock lock(mutex_);
      for (const auto& lease : leases) leaving_.erase(lease);
    }
    left_.notify_all();
  };
  try {
    take_away(leases);
  } catch (...) {
    done();
    throw;
  }
  done();
}

void Holder::take_away(std::set<std::string> leases) {
  const auto only_active = [&] {
    std::erase_if(leases, [this](const auto& lease) { return state(lease) != ExposureState::active; });
    return !leases.empty();
  };
  if (!only_active()) return;  // an ended lease never becomes active again
  bool has_names = false;
  {
    const std::scoped_lock work(work_);
    if (!only_active()) return;
    auto transaction = store_.begin(Deadline::after(settings_.release_deadline));
    transaction.remove(leases);
    for (const auto& lease : leases) {
      if (keepalives_) keepalives_->remove(lease);
      const std::scoped_lock lock(mutex_);
      held_[lease] = {.state = ExposureState::released, .reason = "released", .expires = {}};
    }
    drop_owner_if_idle(transaction);
    has_names = store_.has_new_names();  // now, so that the monitor does not take the names first
  }
  if (has_names) finish_names(store_, Deadline::after(engine::kAliasBudget), &work_);
}

// Holds no lock, because a container can delay the edit.
void Holder::finish_new_names() noexcept {
  {
    const std::scoped_lock work(work_);
    if (!store_.has_new_names()) return;
  }
  finish_names(store_, Deadline::after(engine::kAliasBudget), &work_);
}

ExposureState Holder::state(const std::string& lease) const {
  const std::scoped_lock lock(mutex_);
  const auto found = held_.find(lease);
  return found == held_.end() ? ExposureState::released : found->second.state;
}

std::string Holder::reason(const std::string& lease) const {
  const std::scoped_lock lock(mutex_);
  const auto found = held_.find(lease);
  return found == held_.end() ? std::string() : found->second.reason;
}

std::string Holder::unpinned(const std::string& lease) const {
  const std::scoped_lock lock(mutex_);
  const auto found = held_.find(lease);
  return found == held_.end() ? std::string() : found->second.unpinned;
}

void Holder::let_go(const std::string& lease) {
  const std::scoped_lock work(work_);
  if (keepalives_) keepalives_->remove(lease);
  store_.forget_watched();
  const std::scoped_lock lock(mutex_);
  held_.erase(lease);
}

void Holder::forget(const std::string& lease) {
  const std::scoped_lock lock(mutex_);
  held_.erase(lease);
}

bool Holder::has_active() const {
  const std::scoped_lock lock(mutex_);
  return std::ranges::any_of(held_,
                             [](const auto& one) { return one.second.state == ExposureState::active; });
}

std::set<std::string> Holder::active() const {
  const std::scoped_lock lock(mutex_);
  std::set<std::string> ids;
  for (const auto& [id, held] : held_)
    if (held.state == ExposureState::active) ids.insert(id);
  return ids;
}

void Holder::end(Ended ended) {
  if (keepalives_) keepalives_->remove(ended.lease);
  const std::scoped_lock lock(mutex_);
  const auto found = held_.find(ended.lease);
  if (found == held_.end() || found->second.state != ExposureState::active) return;
  found->second = {.state = ended.state(), .reason = ended.reason, .expires = {}};
  notices_.push_back(std::move(ended));
}

void Holder::drop_owner_if_idle(const Transaction& transaction) {
  if (has_active()) return;
  owner_.reset();
  transaction.tidy();
}

}  // namespace hostnet::exposer
