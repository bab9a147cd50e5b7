// The container of an engine in which this process runs.
//
// Theory of operation
//
// Inside a container little tells which one it is, and what does may be wrong: the host's name can be set, a
// cgroup namespace hides the path, and a container within another one shows both ids. So the files only name
// candidates. The engine decides: it must know the container, and it must run. Then one of these must agree:
// the container's host name is ours, or one of its addresses is an address here. An engine on another machine,
// or in another container, does not know us, whatever its bridges are called.
//
//   source                   names
//   /proc/self/mountinfo     the container whose files are mounted at /etc/hosts and beside it: their path
//                            there ends in "containers/ID/hosts" (Docker) or "overlay-containers/ID/…" (Podman).
//                            A mount of the host at such a path is none
//   /proc/self/cgroup        each run of 64 hexadecimal digits, the innermost first
//   the host's name          12 hexadecimal digits, as Docker sets it; an address must agree
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::engine {

/// The id of the container whose files the process has at /etc/hosts, /etc/hostname and /etc/resolv.conf; empty
/// if there is none. Pure.
std::string container_id_in(std::string_view mountinfo);

/// Ids in the text of /proc/PID/cgroup, the innermost first. Pure.
std::vector<std::string> container_ids_in_cgroup(std::string_view cgroup);

/// Whether it may be Docker's name for a container: 12 hexadecimal digits. Pure.
bool looks_like_short_id(std::string_view hostname);

/// As Client::own_container(), which keeps the answer.
std::optional<OwnContainer> find_own_container(Client& client, Deadline deadline);

}  // namespace hostnet::engine
