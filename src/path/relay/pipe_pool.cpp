// Makes and keeps pipes.
#include "path/relay/pipe_pool.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

namespace hostnet::relay {

Pipe PipePool::take() noexcept {
  if (out_ >= kMostPipes) return {};
  Pipe pipe;
  if (!idle_.empty()) {
    pipe = std::move(idle_.back());
    idle_.pop_back();
  } else {
    int ends[2];
    if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return {};
    pipe.read_end.reset(ends[0]);
    pipe.write_end.reset(ends[1]);
    // A user has a limit for all pipes (/proc/sys/fs/pipe-user-pages-soft); one that stays small works, too.
    ::fcntl(ends[1], F_SETPIPE_SZ, static_cast<int>(kPipeSize));
  }
  ++out_;
  return pipe;
}

void PipePool::give_back(Pipe pipe) noexcept {
  if (!pipe) return;
  --out_;
  constexpr std::size_t most_idle = 8;
  try {
    if (idle_.size() < most_idle) idle_.push_back(std::move(pipe));
  } catch (...) {  // out of memory: the pipe is closed
  }
}

void PipePool::discard(Pipe pipe) noexcept {
  if (pipe) --out_;
}

}  // namespace hostnet::relay
