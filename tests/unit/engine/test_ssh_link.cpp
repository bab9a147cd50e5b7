// The login to an engine behind ssh://, with a program of the tests in the place of ssh. Real ones are in
// tests/e2e.
#include "engine/address.hpp"
#include "engine/ssh_link.hpp"
#include "hostnet/error.hpp"
#include "support/expect_error.hpp"
#include "support/forked.hpp"
#include "support/temp_dir.hpp"
#include "unit/engine/environment.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <pty.h>
#include <termios.h>
#include <utmp.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

using namespace hostnet;
using namespace std::chrono_literals;

namespace {

// Runs `body` in a child that has a terminal of its own. Returns its exit code, and whether the terminal
// echoes at the end.
template <class Body>
std::pair<int, bool> on_a_terminal(Body body) {
  int ours = -1;
  int theirs = -1;
  REQUIRE(::openpty(&ours, &theirs, nullptr, nullptr, nullptr) == 0);
  const Fd master(ours);
  Fd terminal(theirs);
  const pid_t child = test::start_child([&] {
    ::close(ours);
    ::login_tty(theirs);
    ::_exit(body());
  });
  const int code = test::await_child(child);
  termios now{};
  REQUIRE(::tcgetattr(master.get(), &now) == 0);
  return {code, (now.c_lflag & ECHO) != 0};
}

}  // namespace

TEST_CASE("an ssh that is ended while it asks leaves the terminal as it was") {
  const test::TempDir dir;
  const auto program = dir.path() / "ssh";
  const auto asked = dir.path() / "asked";
  std::ofstream(program) << "#!/bin/sh\nstty -echo </dev/tty && touch " << asked.string()
                         << "\nexec sleep 60\n";
  std::filesystem::permissions(program, std::filesystem::perms{0755});
  const auto [code, echoes] = on_a_terminal([&] {
    const test::Variable path("PATH", dir.path().string() + ":/usr/bin:/bin");
    const test::Variable runtime("XDG_RUNTIME_DIR", dir.path().string());
    const auto address = engine::Address::find("ssh://somebody@engine.invalid");
    engine::SshLink link(address, 500ms);
    // A busy machine may need more than one attempt until it asks; a failed one is followed by a pause.
    const auto deadline = Deadline::after(60s);
    while (!std::filesystem::exists(asked) && !deadline.expired()) try {
        link.engine_socket(deadline);
        return 2;
      } catch (const Error& error) {
        if (error.code() != Errc::timed_out) return 1;
      }
    return deadline.expired() ? 3 : 0;
  });
  CHECK(code == 0);
  CHECK(echoes);
}
