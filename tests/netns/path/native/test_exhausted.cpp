// A process that runs out of file descriptors at any point: an error, no hang, no leftovers.
#include "hostnet/error.hpp"
#include "support/forked.hpp"
#include "support/testbed.hpp"
#include "unwatched_lease.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>

#include <vector>

using namespace hostnet;
using namespace test;

namespace {

// Limits the process to that many descriptors; the destructor lifts the limit.
class Scarcity {
 public:
  explicit Scarcity(std::size_t left) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit low{.rlim_cur = 64, .rlim_max = before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &low);
    for (int fd = 0; (fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) hoard_.emplace_back(fd);
    hoard_.resize(hoard_.size() - left);
  }
  Scarcity(const Scarcity&) = delete;
  Scarcity& operator=(const Scarcity&) = delete;
  ~Scarcity() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
  std::vector<Fd> hoard_;
};

}  // namespace

TEST_CASE("with too few descriptors left, expose fails cleanly or works") {
  Testbed bed;
  int failed = 0;
  int worked = 0;
  for (std::size_t left = 1; left <= 24; ++left) {
    CAPTURE(left);
    // In a child, because a hanging child can be killed.
    const auto child = start_child([&] {
      ::alarm(10);
      const auto exposer = bed.exposer();
      Exposure exposure;
      {
        const Scarcity scarcity(left);
        exposure = exposer->expose(Target::bridge("br0"), {HostPort::same(8088)});
      }
      exposure.release();
    });
    const int status = await_child(child);
    CHECK((status == 0 || status == 1));  // 1: it threw
    ++(status == 0 ? worked : failed);
    CHECK(bed.unguarded() == "");
    // The next process's check removes what this one could not undo without descriptors.
    exposer::LeaseStore store(bed.runtime_dir());
    auto transaction = store.begin(soon());
    transaction.reap();
    transaction.tidy();
    CHECK(bed.changes() == "");
  }
  CHECK(failed > 5);
  CHECK(worked > 5);
}
