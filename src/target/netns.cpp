// A network namespace, given by its file.
#include "core/fd.hpp"
#include "core/nearest.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "target/attachment.hpp"
#include "target/resolve.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

namespace hostnet::exposer {
namespace {

// Those of ip-netns(8), whose folder may be missing.
std::vector<std::string> named_namespaces() {
  std::vector<std::string> out;
  std::error_code error;
  for (std::filesystem::directory_iterator entry("/run/netns", error), end; !error && entry != end;
       entry.increment(error))
    out.push_back(entry->path().string());
  return out;
}

}  // namespace

Resolved Resolver::netns(const std::string& path, bool force) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    const int cause = errno;
    if (cause == ENOENT)
      throw no_such("network namespace", path, named_namespaces(), "list them: ip netns list");
    throw Error::from_errno(fmt::format("open {}", quote(path)), cause);
  }
  const auto attachment = find_attachment(rtnl_, fd.get());
  const auto master = attachment ? rtnl_.link(attachment->port.master) : std::nullopt;
  if (master) {
    auto out = bridge(master->name, force);
    out.sources = attachment->addresses;
    out.port = bindable(attachment->port);
    return out;
  }
  throw Error(
      Errc::not_found,
      fmt::format(
          "netns {} is not attached to a bridge of this namespace by a veth pair with an IPv4 address",
          quote(path)),
      "name its bridge instead: --bridge IF");
}

}  // namespace hostnet::exposer
