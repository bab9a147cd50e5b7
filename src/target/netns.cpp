// A network namespace, given by its file.
#include "core/fd.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "target/attachment.hpp"
#include "target/resolve.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>

namespace hostnet::exposer {

Resolved Resolver::netns(const std::string& path, bool force) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    const int cause = errno;
    if (cause == ENOENT)
      throw Error(Errc::not_found, fmt::format("there is no network namespace {}", quote(path)),
                  "list them: ip netns list", cause);
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
