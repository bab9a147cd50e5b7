// Running another program to its end, with all three standard streams.
#include "core/process.hpp"

#include "core/fd.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

extern char** environ;

namespace hostnet {
namespace {

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* const path = std::getenv("PATH");
  const auto folders = std::string(path != nullptr ? path : "") + ":/usr/sbin:/sbin:/usr/bin:/bin";
  for (const auto folder : split(folders, ':')) {
    if (folder.empty()) continue;
    const auto candidate = fmt::format("{}/{}", folder, name);
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  throw Error(Errc::not_found, fmt::format("there is no program {} in PATH", name), {}, ENOENT);
}

// A socket pair where a pipe would do, because only send(2) can be told not to raise SIGPIPE when the child
// exits without reading its input.
struct Pipe {
  Pipe() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
      throw Error::from_errno("socketpair", errno);
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
  Fd read, write;
};

struct SpawnActions {
  SpawnActions() { ::posix_spawn_file_actions_init(&actions); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions); }
  posix_spawn_file_actions_t actions{};
};

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

ProcessResult run_process(const std::vector<std::string>& argv, std::string_view input, Deadline deadline) {
  const auto program = find_program(argv.front());
  Pipe in;
  Pipe out;
  Pipe err;
  SpawnActions spawn;
  ::posix_spawn_file_actions_adddup2(&spawn.actions, in.read.get(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&spawn.actions, out.write.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&spawn.actions, err.write.get(), STDERR_FILENO);
  std::vector<char*> arguments;
  for (const auto& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  pid_t pid = 0;
  const int failed = ::posix_spawn(&pid, program.c_str(), &spawn.actions, nullptr, arguments.data(), environ);
  if (failed != 0) throw Error::from_errno(fmt::format("run {}", program), failed);
  in.read.reset();
  out.write.reset();
  err.write.reset();

  ProcessResult result;
  while (in.write || out.read || err.read) {
    std::array<pollfd, 3> fds{
        {{in.write.get(), POLLOUT, 0}, {out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}}};
    const int ready = ::poll(fds.data(), fds.size(), deadline.poll_timeout());
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      ::kill(pid, SIGKILL);
      wait_for(pid);
      throw Error(Errc::timed_out, fmt::format("{} did not end in time", argv.front()));
    }
    if (fds[0].revents != 0) {
      if (input.empty() || (fds[0].revents & POLLERR) != 0) {
        in.write.reset();
      } else if (const auto put =
                     ::send(in.write.get(), input.data(), input.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
                 put > 0) {
        input.remove_prefix(static_cast<std::size_t>(put));
      } else if (put < 0 && errno != EAGAIN && errno != EINTR) {
        in.write.reset();
      }
    }
    const auto drain = [](const pollfd& poll, Fd& fd, std::string& into) {
      if (poll.revents == 0) return;
      std::array<char, 8192> buffer;
      const auto got = ::read(fd.get(), buffer.data(), buffer.size());
      if (got > 0) into.append(buffer.data(), static_cast<std::size_t>(got));
      if (got == 0 || (got < 0 && errno != EINTR)) fd.reset();
    };
    drain(fds[1], out.read, result.output);
    drain(fds[2], err.read, result.errors);
  }
  result.exit_code = wait_for(pid);
  return result;
}

}  // namespace hostnet
