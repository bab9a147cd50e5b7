// Judges the kernel, privilege and the firewall programs. judge() sets the order of all checks.
#include "cli/doctor/judge.hpp"
#include "core/join.hpp"
#include "core/strings.hpp"

#include <fmt/format.h>

#include <iterator>

namespace hostnet::cli::doctor {
namespace {

constexpr const char* kAsRoot = "run it as root: sudo tc-hostnet doctor";

void append(std::vector<Check>& checks, std::vector<Check> more) {
  checks.insert(checks.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

std::string kind_of(const std::string& iptables) {
  const auto name = iptables.substr(iptables.rfind('/') + 1);
  if (name.find("nft") != std::string::npos) return "iptables-nft";
  if (name.find("legacy") != std::string::npos) return "iptables-legacy";
  return iptables;
}

}  // namespace

const char* to_string(Status status) noexcept {
  switch (status) {
    case Status::ok:
      return "ok";
    case Status::warn:
      return "warn";
    case Status::unseen:
      return "unseen";
    case Status::fail:
      return "fail";
  }
  return "fail";
}

Check unseen(std::string name, std::string_view what, const Error& error) {
  const bool denied = error.code() == Errc::not_authorised;
  const auto mend = denied ? kAsRoot : error.hint().empty() ? "run again: tc-hostnet doctor" : error.hint();
  const auto finding = denied ? fmt::format("{}: cannot be seen as this user ({})", what, error.what())
                              : fmt::format("{}: {}", what, error.what());
  return {std::move(name), Status::unseen, finding, mend};
}

Check judge_kernel(const KernelFacts& facts) {
  Check check{.name = "kernel"};
  const auto fail = [&](std::string_view lacks, std::string_view mend) {
    check.status = Status::fail;
    check.finding = fmt::format("Linux {} has no {}", facts.release, lacks);
    check.mend = mend;
    return check;
  };
  if (!facts.route_localnet) return fail("net.ipv4.conf.*.route_localnet", "boot a kernel from 3.6 on");
  if (facts.ip_tables == Presence::absent && facts.nf_tables == Presence::absent)
    return fail("nf_tables and no ip_tables",
                "install all of its modules, or boot one with CONFIG_NF_TABLES or CONFIG_IP_NF_IPTABLES "
                "(CONFIG_IP_NF_IPTABLES_LEGACY from 6.17 on)");
  std::vector<std::string> has{"route_localnet"};
  if (facts.ip_tables == Presence::present) has.emplace_back("ip_tables");
  if (facts.ip_tables == Presence::loadable) has.emplace_back("ip_tables (loaded when needed)");
  if (facts.nf_tables == Presence::present) has.emplace_back("nf_tables");
  if (facts.nf_tables == Presence::loadable) has.emplace_back("nf_tables (not loaded)");
  check.finding = fmt::format("Linux {} with {}{}", facts.release, list_of(has),
                              facts.nf_tables == Presence::unknown ? "; nf_tables is unknown" : "");
  return check;
}

Check judge_privilege(const PrivilegeFacts& facts, const exposer::Choice& path) {
  Check check{.name = "capabilities"};
  std::vector<std::string> lacking;
  lacking.reserve(2);  // g++ 12 sees a null pointer in the growth of an empty one
  if (!facts.net_admin) lacking.emplace_back("CAP_NET_ADMIN");
  if (!facts.net_raw) lacking.emplace_back("CAP_NET_RAW");
  if (!lacking.empty()) {
    const auto lacks = fmt::format("uid {} without {}", facts.uid, list_of(lacking));
    check.status = path.driver != nullptr ? Status::warn : Status::fail;
    check.finding = path.driver != nullptr
                        ? fmt::format("{}: expose goes by {}, not native", lacks, path.driver->name)
                        : fmt::format("{}: nothing can be exposed", lacks);
    check.mend = path.driver != nullptr
                     ? "for the native path and a complete check run it as root: sudo tc-hostnet doctor"
                     : kAsRoot;
  } else if (facts.uid != 0) {
    check.status = Status::warn;
    check.finding = fmt::format(
        "uid {} with CAP_NET_ADMIN and CAP_NET_RAW, but not root: /run/tc-hostnet and the hosts "
        "files of containers may be closed to it",
        facts.uid);
    check.mend = kAsRoot;
  } else {
    check.finding = "root, with CAP_NET_ADMIN and CAP_NET_RAW";
  }
  return check;
}

Check judge_backend(const BackendFacts& facts) {
  if (!facts.legacy_tables)
    return unseen("backend", "the tables of ip_tables are not readable", *facts.legacy_tables.error);
  const auto command =
      facts.iptables.empty() ? "there is no iptables command" : "iptables is " + kind_of(facts.iptables);
  const auto tables = facts.legacy_tables->empty() ? "no legacy table is in use"
                                                   : "legacy tables in use: " + list_of(*facts.legacy_tables);
  if (!facts.choice) return unseen("backend", "the firewall for rules is unknown", *facts.choice.error);
  const auto* const where = facts.choice->kind == Firewall::nftables ? "a table of their own in nftables"
                                                                     : "legacy ip_tables by libiptc";
  return {
      .name = "backend",
      .finding = fmt::format("{}; {}; rules go into {}: {}", command, tables, where, facts.choice->reason)};
}

Check judge_lock(const LockFacts& facts) {
  if (!facts.holder) return {.name = "xtables-lock", .finding = fmt::format("{} is free", facts.path)};
  const auto who = facts.command.empty() ? fmt::format("pid {}", *facts.holder)
                                         : fmt::format("{} (pid {})", facts.command, *facts.holder);
  return {"xtables-lock", Status::warn,
          fmt::format("{} holds {}; every change of the rules waits for it", who, facts.path),
          "check what it is doing, and stop it if it hangs: fuser -v " + shell_word(facts.path)};
}

Check judge_path(const exposer::Choice& facts) {
  const auto reasons = join(facts.reasons, "; ");
  if (facts.driver != nullptr) return {.name = "path", .finding = reasons};
  return {"path", Status::fail, fmt::format("no path is usable: {}", reasons), kAsRoot};
}

std::vector<Check> judge(const Facts& facts) {
  std::vector<Check> checks{judge_kernel(facts.kernel), judge_privilege(facts.privilege, facts.path),
                            judge_backend(facts.backend), judge_lock(facts.lock), judge_engine(facts.engine)};
  append(checks, judge_bridges(facts.bridges, facts.engine));
  append(checks, judge_input(facts.input));
  for (const auto& listener : facts.listeners) checks.push_back(judge_listener(listener));
  checks.push_back(judge_state(facts.state));
  append(checks, judge_route_localnet(facts.route_localnet));
  if (facts.alias) checks.push_back(judge_alias(*facts.alias));
  checks.push_back(judge_path(facts.path));
  if (facts.request)
    if (auto check = judge_request(*facts.request, checks)) checks.push_back(std::move(*check));
  return checks;
}

}  // namespace hostnet::cli::doctor
