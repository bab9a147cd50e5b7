// The libiptc back end.
//
//   state    event                                        next
//   start    empty plan, and the table does not exist     done, nothing changed
//   start    xtables lock free                            locked
//   start    lock busy, table already as planned          done, nothing changed
//   start    lock busy, table differs                     waits for the lock until the deadline (timed_out)
//   locked   table read, already as planned               done
//   locked   commit succeeds                              done, changed
//   locked   commit fails with EAGAIN: a program without  reads again after 1 ms, until the deadline
//            the lock changed the table since the read
//   locked   commit fails with EINVAL: likewise, between  reads again after 1 ms, until the deadline or the
//            the new rules and the old counters; or the   10th such failure (kHalfDone)
//            kernel refuses a rule
//   locked   commit fails otherwise                       throws
//
//   kModprobe: 10 s to load a missing module.
#include "firewall/iptables.hpp"

#include "core/child.hpp"
#include "core/file.hpp"
#include "core/log.hpp"
#include "core/strings.hpp"
#include "firewall/entry.hpp"
#include "firewall/xtables_lock.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <libiptc/libiptc.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <thread>
#include <unordered_map>

namespace hostnet::firewall {
namespace {

using Handle = unique_handle<xtc_handle, iptc_free>;

constexpr std::chrono::seconds kModprobe{10};
constexpr int kHalfDone = 10;  // EINVAL commits in one apply() after which the cause is no other program

Error iptc_error(std::string_view what, Table table, int cause) {
  auto error = Error::from_errno(fmt::format("{} table {} of ip_tables", what, to_string(table)), cause);
  if (cause != ENOPROTOOPT && cause != ENOENT) return error;
  return {Errc::no_path, fmt::format("this kernel has no table {} in ip_tables", to_string(table)),
          "load it: modprobe iptable_" + std::string(to_string(table)), cause};
}

// Loads a module as the iptables command does when the kernel lacks ip_tables.
void load_module(const char* module) {
  const auto program = try_read_file("/proc/sys/kernel/modprobe").value_or("/sbin/modprobe\n");
  const std::string path(trim(program));
  try {
    const auto deadline = Deadline::after(kModprobe);
    Child(path, {path, "-q", module}, {}, deadline, Child::Environment::empty).wait(deadline);
  } catch (const Error& error) {
    log::debug("{}", error.what());
  }
}

Handle open_table(Table table) {
  Handle handle(iptc_init(to_string(table)));
  if (!handle && (errno == ENOPROTOOPT || errno == ENOENT)) {
    load_module("ip_tables");
    load_module(fmt::format("iptable_{}", to_string(table)).c_str());
    handle.reset(iptc_init(to_string(table)));
  }
  if (!handle) throw iptc_error("read", table, errno);
  return handle;
}

// Edits one table. Every error names the table.
class Edit {
 public:
  Edit(const TablePlan& plan, xtc_handle* handle) : plan_(plan), handle_(handle) {}

  /// Returns whether the table now differs from what was read.
  bool run() {
    const bool wanted = !plan_.empty();
    const bool present = iptc_is_chain(plan_.chain, handle_) != 0;
    if (!wanted && !present) return false;
    if (!present) check(iptc_create_chain(plan_.chain, handle_), "create a chain in");
    changed_ = !present;
    if (wanted) {
      sync_own_chain();
      sync_jumps();
    } else {
      sync_jumps();
      check(iptc_flush_entries(plan_.chain, handle_), "flush a chain of");
      check(iptc_delete_chain(plan_.chain, handle_), "delete a chain of");
      changed_ = true;
    }
    return changed_;
  }

 private:
  void check(int done, const char* what) const {
    if (done == 0) throw iptc_error(what, plan_.table, errno);
  }

  struct Existing {
    unsigned position;
    std::string signature;
  };

  template <class Wanted>
  std::vector<Existing> existing(const char* chain, Wanted&& wanted) {
    std::vector<Existing> out;
    unsigned position = 0;
    for (const ipt_entry* entry = iptc_first_rule(chain, handle_); entry != nullptr;
         entry = iptc_next_rule(entry, handle_), ++position) {
      const char* const target = iptc_get_target(entry, handle_);
      if (wanted(target)) out.push_back({position, signature(*entry, target)});
    }
    return out;
  }

  static std::string signature_of(const Entry& entry, const Rule& rule) {
    const char* const target = rule.verdict.kind == Verdict::Kind::dnat     ? "DNAT"
                               : rule.verdict.kind == Verdict::Kind::drop   ? "DROP"
                               : rule.verdict.kind == Verdict::Kind::accept ? "ACCEPT"
                               : rule.verdict.kind == Verdict::Kind::leave  ? "RETURN"
                                                                            : rule.verdict.chain.c_str();
    return signature(*entry.get(), target);
  }

  // Keeps existing rules that are in the planned order, removes the others, and inserts missing rules at
  // their place. Leases come and go, but the remaining ones keep their order, so nearly all rules stay.
  void sync_own_chain() {
    const auto present = existing(plan_.chain, [](const char*) { return true; });
    std::vector<Entry> entries;
    std::vector<std::string> signatures;
    for (const auto& rule : plan_.rules) {
      entries.push_back(encode(rule));
      signatures.push_back(signature_of(entries.back(), rule));
    }
    std::unordered_map<std::string_view, std::size_t> place;
    for (std::size_t i = 0; i < signatures.size(); ++i) place.emplace(signatures[i], i);

    std::vector<bool> keep(present.size(), false);
    std::size_t cursor = 0;
    for (std::size_t i = 0; i < present.size(); ++i) {
      const auto planned = place.find(present[i].signature);
      if (planned == place.end() || planned->second < cursor) continue;
      keep[i] = true;
      cursor = planned->second + 1;
    }
    if (std::ranges::find(keep, true) == keep.end()) {
      if (!present.empty()) {
        check(iptc_flush_entries(plan_.chain, handle_), "flush a chain of");
        changed_ = true;
      }
    } else {
      for (std::size_t i = present.size(); i-- > 0;)
        if (!keep[i]) remove(plan_.chain, present[i].position);
    }

    std::size_t kept = 0;
    const auto next_kept = [&] {
      while (kept < present.size() && !keep[kept]) ++kept;
      return kept < present.size() ? &present[kept].signature : nullptr;
    };
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const auto* const at = next_kept();
      if (at != nullptr && *at == signatures[i]) {
        ++kept;
        continue;
      }
      if (at == nullptr) {
        check(iptc_append_entry(plan_.chain, entries[i].get(), handle_), "append to a chain of");
      } else {
        check(iptc_insert_entry(plan_.chain, entries[i].get(), static_cast<unsigned>(i), handle_),
              "insert into a chain of");
      }
      changed_ = true;
    }
  }

  // The built-in chain is shared: only the jumps to our chain are ours, and other rules may precede them.
  void sync_jumps() {
    std::multiset<std::string> lacking;
    std::vector<Entry> entries;
    for (const auto& rule : plan_.jumps) {
      entries.push_back(encode(rule));
      lacking.insert(signature_of(entries.back(), rule));
    }
    const auto present =
        existing(plan_.hook, [this](const char* target) { return std::strcmp(target, plan_.chain) == 0; });
    std::vector<unsigned> surplus;
    for (const auto& jump : present) {
      const auto found = lacking.find(jump.signature);
      if (found != lacking.end()) {
        lacking.erase(found);
      } else {
        surplus.push_back(jump.position);
      }
    }
    for (auto position = surplus.rbegin(); position != surplus.rend(); ++position)
      remove(plan_.hook, *position);
    for (std::size_t i = entries.size(); i-- > 0;) {
      const auto found = lacking.find(signature_of(entries[i], plan_.jumps[i]));
      if (found == lacking.end()) continue;
      lacking.erase(found);
      check(iptc_insert_entry(plan_.hook, entries[i].get(), 0, handle_), "insert into a chain of");
      changed_ = true;
    }
  }

  void remove(const char* chain, unsigned position) {
    check(iptc_delete_num_entry(chain, position, handle_), "delete a rule of");
    changed_ = true;
  }

  const TablePlan& plan_;
  xtc_handle* handle_;
  bool changed_ = false;
};

}  // namespace

bool table_exists(Table table) {
  const auto names = try_read_file("/proc/thread-self/net/ip_tables_names");
  if (!names) return false;
  const auto lines = split(*names, '\n');
  return std::ranges::find(lines, std::string_view(to_string(table))) != lines.end();
}

bool Iptables::apply(const TablePlan& plan, Deadline deadline) {
  if (plan.empty() && !table_exists(plan.table)) return false;
  // Another program may hold the lock for long; a table that is already as planned need not wait for it.
  auto lock = XtablesLock::if_free();
  if (!lock && matches(plan)) return false;
  if (!lock) lock.emplace(deadline);
  bool changed = false;
  for (int half_done = 0;;) {
    const auto handle = open_table(plan.table);
    if (!Edit(plan, handle.get()).run()) return changed;
    if (iptc_commit(handle.get()) != 0) return true;
    // EAGAIN: a program without the lock changed the table after it was read. EINVAL: it changed the table
    // after our rules went in and before the old counters were added back; these counters are lost then. But
    // the kernel also answers EINVAL to a rule that it refuses.
    const int error = errno;
    changed = changed || error == EINVAL;
    const bool may_try_again = error == EAGAIN || (error == EINVAL && ++half_done < kHalfDone);
    if (!may_try_again || deadline.expired()) throw iptc_error("write", plan.table, error);
    log::debug("table {} changed under us, trying again", to_string(plan.table));
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
}

bool Iptables::matches(const TablePlan& plan) {
  if (!table_exists(plan.table)) return plan.empty();
  const auto handle = open_table(plan.table);
  return !Edit(plan, handle.get()).run();
}

bool Iptables::input_concerns(const TablePlan& plan) {
  if (!table_exists(plan.table)) return false;
  const auto handle = open_table(plan.table);
  if (iptc_is_chain(plan.chain, handle.get()) != 0) return true;
  if (plan.empty()) return false;
  ipt_counters counters{};
  const char* const policy = iptc_get_policy(plan.hook, &counters, handle.get());
  const bool drops = policy != nullptr && std::strcmp(policy, "ACCEPT") != 0;
  return drops || iptc_first_rule(plan.hook, handle.get()) != nullptr;
}

std::vector<std::string> Iptables::guarded_bridges() {
  std::vector<std::string> bridges;
  if (!table_exists(Table::raw)) return bridges;
  const auto guard = plan({}, {}).of(Table::raw);
  const auto handle = open_table(Table::raw);
  for (const ipt_entry* entry = iptc_first_rule(guard.hook, handle.get()); entry != nullptr;
       entry = iptc_next_rule(entry, handle.get()))
    if (std::strcmp(iptc_get_target(entry, handle.get()), guard.chain) == 0)
      bridges.emplace_back(entry->ip.iniface, ::strnlen(entry->ip.iniface, sizeof entry->ip.iniface));
  return bridges;
}

TableWatch::TableWatch() : socket_(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW)) {
  if (!socket_) throw Error::from_errno("open a raw socket to watch ip_tables", errno);
}

std::uint64_t TableWatch::look() {
  std::uint64_t mix = 0xcbf29ce484222325;  // FNV-1a over each table's number and size of rules
  const auto add = [&mix](std::uint64_t value) { mix = (mix ^ value) * 0x100000001b3; };
  const auto names = try_read_file("/proc/thread-self/net/ip_tables_names").value_or("");
  const auto present = split(names, '\n');
  for (const auto table : kTables) {
    if (std::ranges::find(present, std::string_view(to_string(table))) == present.end()) continue;
    ipt_getinfo info{};
    std::strncpy(info.name, to_string(table), sizeof info.name - 1);
    socklen_t size = sizeof info;
    add(static_cast<std::uint64_t>(table));
    if (::getsockopt(socket_.get(), IPPROTO_IP, IPT_SO_GET_INFO, &info, &size) != 0) continue;
    add(info.num_entries);
    add(info.size);
  }
  return mix;
}

}  // namespace hostnet::firewall
