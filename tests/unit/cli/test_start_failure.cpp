// The runtimes' words for a command that does not start.
#include "cli/start_failure.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hostnet;

namespace {

// "127 image 'alpine' has no program 'nosuch'", or "unknown".
std::string told(const std::string& words, const std::vector<std::string>& command = {"nosuch", "-x"}) {
  const auto failure = cli::start_failure(Error(Errc::engine_error, words), "alpine", command);
  if (!failure) return "unknown";
  CHECK(!failure->error.hint().empty());
  return std::to_string(failure->exit_code) + " " + failure->error.what();
}

}  // namespace

TEST_CASE("a program that is not there") {
  const std::string runc =
      "failed to create task for container: runc create failed: unable to start container process: ";
  CHECK(told(runc + R"(exec: "nosuch": executable file not found in $PATH: unknown)") ==
        "127 image 'alpine' has no program 'nosuch'");
  CHECK(told(runc + R"(exec: "/no/such": stat /no/such: no such file or directory: unknown)", {"/no/such"}) ==
        "127 image 'alpine' has no program '/no/such'");
  CHECK(told("crun: executable file `nosuch` not found in $PATH: No such file or directory: OCI runtime "
             "error") == "127 image 'alpine' has no program 'nosuch'");
  // The image's entry point, before the words of the command.
  CHECK(told(runc + R"(exec: "/entry": stat /entry: no such file or directory: unknown)") ==
        "127 image 'alpine' has no program '/entry'");
  CHECK(told("crun: No such file or directory", {}) ==
        "127 image 'alpine': the program of its command is not there");
}

TEST_CASE("a program that may not run") {
  CHECK(told(R"(exec: "/etc/hosts": permission denied: unknown)", {"/etc/hosts"}) ==
        "126 image 'alpine': '/etc/hosts' cannot be run: permission denied");
  CHECK(told("crun: open executable: Permission denied: OCI permission denied", {"/etc/hosts"}) ==
        "126 image 'alpine': '/etc/hosts' cannot be run: permission denied");
  CHECK(told(R"(exec: "/etc": is a directory: unknown)", {"/etc"}) ==
        "126 image 'alpine': '/etc' cannot be run: it is a directory");
  CHECK(told("exec /bin/a: exec format error", {}) ==
        "126 image 'alpine': its program cannot be run: it is not a program for this machine");
}

TEST_CASE("another failure") {
  CHECK(told(R"(chdir to cwd ("/nowhere") set in config.json failed: no such file or directory)") ==
        "unknown");
  CHECK(told("error mounting \"/x\" to rootfs: no such file or directory") == "unknown");
  CHECK(told("driver failed programming external connectivity") == "unknown");
}
