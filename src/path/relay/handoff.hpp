// The hand-off: sockets in a container's network for a user whom the kernel does not let in, but whom the
// engine obeys.
//
// Theory of operation
//
// A container that shares the target's network runs our program (src/handoff) once: with Docker it names the
// target, with Podman, which would start it then, the target's namespace (handoff_plan.hpp). The program
// binds the lease's ports at kInside, behind a port map if it may, and passes the sockets to this process by
// SCM_RIGHTS; from then on they are as those of bind_inside(). The container has ended and is removed before
// hand_off() returns.
//
//   step       what                                                        an error means
//   image      the engine has, or loads, an image with the program alone   no_path, engine_error
//   socket     a Unix socket in the folder of the records, mode 0700
//   create     the container, with that socket bound into it               no_path: the engine lacks our files
//   start      it                                                          not_found: the target has stopped
//   again      create and start without CAP_NET_ADMIN, and so without a    as before
//              port map, if the engine refused either
//   receive    handoff_receiver.hpp
//   remove     the engine does that by itself; this process waits for it
//
// The image. Its tag names the program's content, but it is the digests that the engine computed of its
// layers that are compared, and the container is made from that image's id. So a tag that another image has
// is no way in, and two processes that load at once load the same. No registry is asked. `release --all
// --images` removes it.
//
// The hosts file. Only root may write it, so the program opens it, too, and this process edits it by that
// descriptor (engine/alias.hpp) and keeps it for the removal: one container for both ends of the lease. A
// command in the container would need a shell there, and the engine's archive calls cannot write a
// mounted file. The file is bound into the container by the path that the engine reports, not as the target's
// /etc/hosts, which the target's own root could replace, and which is read-only in a read-only container. The
// next command after a killed owner runs one more container, for the hosts file alone.
//
// Only root of the target's user namespace may write that file, and the program runs as that user: with
// Docker in that namespace, which is the engine's default; with Podman by its number on this machine.
//
// What is left by a kill at any moment: the container's name and the lease are in the record before it is
// created, and its labels name the owner; the engine removes it by itself once it has run. The Unix socket is
// removed with the record, or when it is older than any hand-off lasts (TunnelStore::tidy()). The engine tags
// an image when it is complete.
//
//   timeout           value   for
//   kLongestHandoff   30 s    everything but the image; then the container is removed
//   kRemoval          10 s    that
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"
#include "lease/tunnel_record.hpp"
#include "path/relay/handoff_receiver.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace hostnet::relay {

struct HandoffRequest {
  std::string lease;
  std::string name;         ///< The container's that is made.
  bool hosts = false;       ///< The hosts file, too.
  std::vector<Door> ports;  ///< None: the hosts file alone.
};

/// The name of the container that a lease makes first.
std::string handoff_name(const std::string& lease);

/// `target` runs. @throws Error: as receive_handoff(), not_found if the target has stopped, no_path if the
/// engine cannot reach this process, conflict for a hosts file that the user mounted, and what the client
/// throws.
HandedOver hand_off(engine::Client& client, const state::TunnelStore& store, const engine::Container& target,
                    const HandoffRequest& request, Deadline deadline);

/// Takes the lease's line out of the container's hosts file, unless the container does not run. @throws
/// Error.
void remove_alias_by_handoff(engine::Client& client, const state::TunnelStore& store,
                             const std::string& target, const std::string& lease, Deadline deadline);

/// The tags of the images for the hand-off at this engine. @throws Error.
std::vector<std::string> handoff_image_tags(engine::Client& client, Deadline deadline);

}  // namespace hostnet::relay
