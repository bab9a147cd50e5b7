// RTM_GETROUTE and RTM_GETRULE.
#include "netlink/route.hpp"

#include "netlink/request.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include <cerrno>

namespace hostnet::netlink {
namespace {

const char* rejection_name(unsigned char type) {
  switch (type) {
    case RTN_BLACKHOLE:
      return "blackhole";
    case RTN_UNREACHABLE:
      return "unreachable";
    case RTN_PROHIBIT:
      return "prohibit";
    case RTN_THROW:
      return "throw";
    default:
      return nullptr;
  }
}

}  // namespace

OwnAddresses::OwnAddresses() : socket_(open_socket(NETLINK_ROUTE)) {}

bool OwnAddresses::has(Ipv4 address) {
  rtmsg header{};
  header.rtm_family = AF_INET;
  header.rtm_dst_len = 32;
  const auto request = make_message(RTM_GETROUTE, 0, header);
  put(request.get(), RTA_DST, address.network());
  bool local = false;
  const int error = transact(socket_.get(), request.get(), [&](const nlmsghdr& message) {
    local = payload<rtmsg>(message).rtm_type == RTN_LOCAL;
  });
  // No route, or one that rejects: then it is not here.
  if (error != 0 && error != ENETUNREACH && error != EHOSTUNREACH && error != EACCES && error != EINVAL)
    throw Error::from_errno("ask for the route to " + address.to_string(), error);
  return local;
}

RouteAnswer route_to(Ipv4 destination, std::optional<Ipv4> source) {
  const auto socket = open_socket(NETLINK_ROUTE);
  rtmsg header{};
  header.rtm_family = AF_INET;
  header.rtm_dst_len = 32;
  if (source) header.rtm_src_len = 32;
  const auto request = make_message(RTM_GETROUTE, 0, header);
  put(request.get(), RTA_DST, destination.network());
  if (source) put(request.get(), RTA_SRC, source->network());
  RouteAnswer answer;
  answer.error = transact(socket.get(), request.get(), [&](const nlmsghdr& message) {
    answer.ifindex = get<int>(Attributes<RTA_MAX>(message, sizeof(rtmsg))[RTA_OIF]);
  });
  return answer;
}

std::vector<PolicyRule> policy_rules() {
  const auto socket = open_socket(NETLINK_ROUTE);
  fib_rule_hdr header{};
  header.family = AF_INET;
  const auto request = make_message(RTM_GETRULE, NLM_F_DUMP, header);
  std::vector<PolicyRule> rules;
  const int error =
      dump(socket.get(), request.get(), rules, [](const nlmsghdr& message, std::vector<PolicyRule>& out) {
        const Attributes<FRA_MAX> attributes(message, sizeof(fib_rule_hdr));
        const auto rule = payload<fib_rule_hdr>(message);
        const auto table =
            attributes[FRA_TABLE] != nullptr ? get<std::uint32_t>(attributes[FRA_TABLE]) : rule.table;
        const bool own = table == RT_TABLE_LOCAL || table == RT_TABLE_MAIN || table == RT_TABLE_DEFAULT;
        if (rule.action == FR_ACT_TO_TBL && own) return;
        out.push_back({.preference = get<std::uint32_t>(attributes[FRA_PRIORITY]),
                       .source = Ipv4::from_network(get<std::uint32_t>(attributes[FRA_SRC])),
                       .source_length = rule.src_len,
                       .destination = Ipv4::from_network(get<std::uint32_t>(attributes[FRA_DST])),
                       .destination_length = rule.dst_len});
      });
  if (error != 0) throw Error::from_errno("list routing rules", error);
  return rules;
}

std::string rejecting_route(Ipv4 destination) {
  const auto socket = open_socket(NETLINK_ROUTE);
  const auto request = make_message(RTM_GETROUTE, NLM_F_DUMP, rtmsg{.rtm_family = AF_INET});
  struct Found {
    std::string text;
    unsigned length = 0;
  };
  std::vector<Found> routes;
  const int error =
      dump(socket.get(), request.get(), routes, [&](const nlmsghdr& message, std::vector<Found>& out) {
        const Attributes<RTA_MAX> attributes(message, sizeof(rtmsg));
        const auto route = payload<rtmsg>(message);
        const auto table =
            attributes[RTA_TABLE] != nullptr ? get<std::uint32_t>(attributes[RTA_TABLE]) : route.rtm_table;
        const auto net = Ipv4::from_network(get<std::uint32_t>(attributes[RTA_DST]));
        if (table != RT_TABLE_MAIN || !contains(net, route.rtm_dst_len, destination)) return;
        const char* const name = rejection_name(route.rtm_type);
        out.push_back({name == nullptr ? std::string()
                                       : fmt::format("{} {}/{}", name, net.to_string(), route.rtm_dst_len),
                       route.rtm_dst_len});
      });
  if (error != 0) throw Error::from_errno("list routes", error);
  const Found* narrowest = nullptr;
  for (const auto& route : routes)
    if (narrowest == nullptr || route.length > narrowest->length) narrowest = &route;
  return narrowest == nullptr ? std::string() : narrowest->text;
}

}  // namespace hostnet::netlink
