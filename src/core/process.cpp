// Runs a program to its end, with all three standard streams.
#include "core/process.hpp"

#include "core/child.hpp"
#include "core/fd.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

namespace hostnet {
namespace {

// A socket pair instead of a pipe: only send(2) can suppress SIGPIPE when the child exits without reading its
// input.
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

}  // namespace

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

ProcessResult run_process(const std::vector<std::string>& argv, std::string_view input, Deadline deadline) {
  const auto program = find_program(argv.front());
  Pipe in;
  Pipe out;
  Pipe err;
  Child child(program, argv, {.in = in.read.get(), .out = out.write.get(), .err = err.write.get()}, deadline);
  in.read.reset();
  out.write.reset();
  err.write.reset();

  ProcessResult result;
  while (in.write || out.read || err.read) {
    std::array<pollfd, 3> fds{
        {{in.write.get(), POLLOUT, 0}, {out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}}};
    const int ready = ::poll(fds.data(), fds.size(), deadline.poll_timeout());
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) break;
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
  const auto exit_code = child.wait(deadline);
  if (!exit_code) throw Error(Errc::timed_out, fmt::format("{} did not end in time", argv.front()));
  result.exit_code = *exit_code;
  return result;
}

}  // namespace hostnet
