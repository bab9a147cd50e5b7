// Reads the kernel, the caller's privilege, and the firewall programs.
#include "cli/doctor/gather.hpp"
#include "core/file.hpp"
#include "core/strings.hpp"
#include "netlink/request.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <thread>

namespace hostnet::cli::doctor {
namespace {

bool exists(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0;
}

Presence by_module_files(const std::string& release, const std::string& module) {
  if (exists("/sys/module/" + module)) return Presence::present;
  const auto listed = [&](const char* file) {
    return lists_module(try_read_file(fmt::format("/lib/modules/{}/{}", release, file)).value_or(""), module);
  };
  if (listed("modules.builtin")) return Presence::present;
  return listed("modules.dep") ? Presence::loadable : Presence::absent;
}

// A kernel with nf_tables built in shows it only in its netlink answers, which need CAP_NET_ADMIN.
Presence nf_tables(const std::string& release) {
  const auto by_files = by_module_files(release, "nf_tables");
  if (by_files != Presence::absent) return by_files;
  const auto error = see([] {
    const auto socket = netlink::open_socket(NETLINK_NETFILTER);
    const auto request = netlink::make_message(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, 0,
                                               nfgenmsg{.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0});
    return netlink::transact(socket.get(), request.get());
  });
  if (!error) return Presence::absent;
  return *error == 0 ? Presence::present : *error == EPERM ? Presence::unknown : Presence::absent;
}

}  // namespace

bool lists_module(std::string_view modules, std::string_view name) {
  return modules.find(fmt::format("/{}.ko", name)) != std::string_view::npos;
}

bool has_effective(std::string_view proc_status, unsigned capability) {
  constexpr std::string_view field = "CapEff:";
  for (const auto line : split(proc_status, '\n')) {
    if (!line.starts_with(field)) continue;
    const std::string digits(trim(line.substr(field.size())));
    return (std::strtoull(digits.c_str(), nullptr, 16) >> capability & 1) != 0;
  }
  return false;
}

std::optional<pid_t> lock_holder(std::string_view proc_locks, dev_t device, ino_t inode) {
  const auto file = fmt::format("{:02x}:{:02x}:{}", major(device), minor(device), inode);
  for (const auto line : split(proc_locks, '\n')) {
    std::vector<std::string_view> words;
    for (const auto word : split(line, ' '))
      if (!word.empty()) words.push_back(word);
    // "1: FLOCK  ADVISORY  WRITE 4711 fe:00:123 0 EOF"; a waiter has "->" after the number.
    if (words.size() < 6 || words[1] != "FLOCK" || words[5] != file) continue;
    if (const auto pid = parse_number(words[4], INT_MAX)) return static_cast<pid_t>(*pid);
  }
  return std::nullopt;
}

std::string find_program(const std::string& name) {
  const char* const path = std::getenv("PATH");
  const auto folders = std::string(path != nullptr ? path : "") + ":/usr/sbin:/sbin:/usr/bin:/bin";
  for (const auto folder : split(folders, ':')) {
    const auto candidate = fmt::format("{}/{}", folder, name);
    if (!folder.empty() && ::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return {};
}

KernelFacts gather_kernel() {
  utsname system{};
  ::uname(&system);
  KernelFacts facts{.release = system.release,
                    .route_localnet = exists("/proc/sys/net/ipv4/conf/lo/route_localnet")};
  facts.ip_tables = exists("/proc/self/net/ip_tables_names") ? Presence::present
                                                             : by_module_files(facts.release, "ip_tables");
  facts.nf_tables = nf_tables(facts.release);
  return facts;
}

PrivilegeFacts gather_privilege() {
  const auto status = try_read_file("/proc/thread-self/status").value_or("");
  return {.uid = ::geteuid(),
          .net_admin = has_effective(status, CAP_NET_ADMIN),
          .net_raw = has_effective(status, CAP_NET_RAW)};
}

BackendFacts gather_backend() {
  BackendFacts facts;
  if (const auto program = find_program("iptables"); !program.empty()) {
    std::array<char, PATH_MAX> real{};
    facts.iptables = ::realpath(program.c_str(), real.data()) != nullptr ? real.data() : program;
  }
  facts.legacy_tables = see([] {
    std::vector<std::string> tables;
    // A kernel without ip_tables has neither this file nor tables.
    if (!exists("/proc/self/net/ip_tables_names")) return tables;
    const auto names = read_file("/proc/self/net/ip_tables_names");
    for (const auto name : split(names, '\n'))
      if (!name.empty()) tables.emplace_back(name);
    std::ranges::sort(tables);
    return tables;
  });
  facts.choice = see([] { return firewall::choose(Firewall::automatic); });
  return facts;
}

// Reads /proc/locks and does not try the lock: taking it even for a moment makes an iptables without --wait
// fail.
LockFacts gather_lock() {
  const char* const configured = std::getenv("XTABLES_LOCKFILE");
  LockFacts facts{.path = configured != nullptr && *configured != '\0' ? configured : "/run/xtables.lock"};
  struct stat status {};
  if (::stat(facts.path.c_str(), &status) != 0) return facts;
  // Reports only a holder that is there in 5 looks, 100 ms apart: an iptables command holds the lock for
  // milliseconds.
  for (int look = 0; look < 5; ++look) {
    facts.holder = lock_holder(try_read_file("/proc/locks").value_or(""), status.st_dev, status.st_ino);
    if (!facts.holder) return facts;
    std::this_thread::sleep_for(std::chrono::milliseconds{100});
  }
  facts.command = command_of(*facts.holder);
  return facts;
}

}  // namespace hostnet::cli::doctor
