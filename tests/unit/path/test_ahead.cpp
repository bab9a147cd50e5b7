// A command may end before its lease is complete: what the path reports then is no failure.
#include "core/file.hpp"
#include "hostnet/error.hpp"
#include "path/ahead.hpp"
#include "support/forked.hpp"
#include "unit/engine/fake_engine.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>
#include <thread>

using namespace hostnet;
using namespace hostnet::exposer;

namespace {

const std::string kId(64, 'a');
constexpr int kNoProcess = 2147483647;

// Its container runs in the first `running` answers.
class OneContainer {
 public:
  OneContainer(int running, int pid)
      : engine_([=, answers = 0](const std::string& line, int connection) mutable {
          if (line.starts_with("GET /_ping")) {
            test::send_bytes(connection, test::http(200, "OK", "Api-Version: 1.41\r\n"));
            return true;
          }
          const bool runs = answers++ < running;
          test::send_bytes(connection,
                           test::http(200, fmt::format(R"({{"Id":"{}","Name":"/brief","Image":"sha256:i",
"State":{{"Running":{},"Pid":{}}},"Config":{{}},"HostConfig":{{"NetworkMode":"web"}},"NetworkSettings":{{}}}})",
                                                       kId, runs, runs ? pid : 0)));
          return true;
        }),
        client_(engine::Address::find(engine_.socket())) {}

  engine::Container tell(AheadLease& lease) { return tell_started(lease, client_, kId, test::soon()); }

 private:
  test::FakeEngine engine_;
  engine::Client client_;
};

class Failing : public AheadLease {
 public:
  explicit Failing(Errc code) : code_(code) {}
  void started(const engine::Container&, Deadline) override {
    ++told;
    throw Error(code_, "there is no process");
  }
  int told = 0;

 private:
  Errc code_;
};

}  // namespace

TEST_CASE("a container that ended before its lease was complete") {
  Failing lease(Errc::no_path);
  CHECK(OneContainer(3, kNoProcess).tell(lease).name == "brief");  // the engine learns of it last
  CHECK(lease.told == 1);
  Failing missing(Errc::not_found);
  CHECK(OneContainer(2, ::getpid()).tell(missing).running);
  Failing unasked(Errc::failure);
  CHECK_FALSE(OneContainer(0, 0).tell(unasked).running);
  CHECK(unasked.told == 0);
}

// The kernel takes a process's root and namespaces away before a pidfd tells of its end: a process that stays in the
// middle of that, as only another thread of it lives, is not one that runs on.
TEST_CASE("a container that is about to end when its lease fails") {
  const pid_t child = test::start_child([] {
    std::thread([] { ::pause(); }).detach();
    ::syscall(SYS_exit, 0);  // of this thread
  });
  while (!process_stat(child).value().ending) std::this_thread::yield();
  Failing lease(Errc::no_path);
  CHECK(OneContainer(3, child).tell(lease).name == "brief");
  CHECK(lease.told == 1);
  ::kill(child, SIGKILL);
  test::await_child(child);
}

TEST_CASE("a failure for a container that runs on") {
  Failing lease(Errc::no_path);
  CHECK_THROWS_WITH_AS(OneContainer(1000, ::getpid()).tell(lease), "there is no process", Error);
}
