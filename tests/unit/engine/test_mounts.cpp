// Lines of /proc/PID/mountinfo.
#include "core/fd.hpp"
#include "engine/mounts.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>

using namespace hostnet;
using namespace hostnet::engine;

TEST_CASE("mounts by number, mount point and type, with any optional fields") {
  const auto mounts = parse_mounts(
      "36 35 98:0 /mnt1 / rw,noatime - ext4 /dev/root rw\n"
      "37 36 0:50 / /etc/hosts rw shared:1 master:2 - fuse.evil evil rw,user_id=0\n"
      "half a line\n\n38 36 0:51 / /x rw -\n");
  CHECK(mounts == std::vector<Mount>{{36, "/", "ext4"}, {37, "/etc/hosts", "fuse.evil"}});
}

TEST_CASE("FUSE is served by a program, the others by the kernel") {
  for (const auto* const type : {"fuse", "fuseblk", "fuse.sshfs"}) CHECK(is_served_by_program(type));
  for (const auto* const type : {"ext4", "overlay", "tmpfs", "virtiofs", ""})
    CHECK_FALSE(is_served_by_program(type));
}

TEST_CASE("the mount of a descriptor that has not been opened") {
  const Fd root(::open("/", O_PATH | O_CLOEXEC));
  REQUIRE(mount_of(root.get()));
  CHECK_FALSE(mount_of(-1));
}
