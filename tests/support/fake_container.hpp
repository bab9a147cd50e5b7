// A process in its own mount namespace: it plays the container in tests that change a container's files from
// outside.
#pragma once

#include "core/fd.hpp"
#include "core/file.hpp"
#include "engine/alias.hpp"
#include "hostnet/error.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace test {

/// For the child of the fork, where a failed REQUIRE would continue with the test.
inline void must(int result, const char* what) {
  if (result < 0) throw hostnet::Error::from_errno(what, errno);
}

/// A process in its own mount namespace, with a small tmpfs as its root. It sleeps until end().
class FakeContainer {
 public:
  using Furnish = std::function<void(const std::filesystem::path& root)>;

  /// `furnish` runs in the new namespace with the tmpfs at `root`, before the process changes its root to it.
  explicit FakeContainer(const Furnish& furnish, std::string id = "f00dfeed0123456789") {
    int ready[2];
    REQUIRE(::pipe2(ready, O_CLOEXEC) == 0);
    const hostnet::Fd read_end(ready[0]);
    hostnet::Fd write_end(ready[1]);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) live(write_end.get(), furnish);
    write_end.reset();
    char byte = 0;
    REQUIRE(::read(read_end.get(), &byte, 1) == 1);
    record_.pid = pid_;
    record_.container = std::move(id);
    record_.pid_start = hostnet::process_start_time(pid_).value();
  }
  FakeContainer(const FakeContainer&) = delete;
  FakeContainer& operator=(const FakeContainer&) = delete;
  ~FakeContainer() { end(); }

  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

  [[nodiscard]] hostnet::engine::AliasRecord record(const std::filesystem::path& hosts_path = {}) const {
    auto record = record_;
    record.hosts_path = hosts_path.string();
    return record;
  }
  [[nodiscard]] std::string hosts() const {
    return hostnet::read_file(fmt::format("/proc/{}/root/etc/hosts", pid_));
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  [[noreturn]] static void live(int ready, const Furnish& furnish) {
    try {
      must(::unshare(CLONE_NEWNS), "unshare");
      must(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make private");
      const std::filesystem::path root = "/mnt";
      must(::mount("tmpfs", root.c_str(), "tmpfs", 0, nullptr), "mount");
      std::filesystem::create_directory(root / "etc");
      furnish(root);
      must(::chroot(root.c_str()), "chroot");
      must(::chdir("/"), "chdir");
      if (::write(ready, "x", 1) == 1)
        for (;;) ::pause();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "fake container: %s\n", error.what());
    }
    ::_exit(1);
  }

  pid_t pid_ = -1;
  hostnet::engine::AliasRecord record_;
};

inline void write(const std::filesystem::path& path, std::string_view text) {
  hostnet::replace_file(path, text, 0644);
}

/// Mounts a file over another one, as an engine mounts its own file over the image's.
inline void bind(const std::filesystem::path& file, const std::filesystem::path& onto,
                 unsigned long flags = 0) {
  write(onto, "");
  must(::mount(file.c_str(), onto.c_str(), nullptr, MS_BIND, nullptr), "bind");
  if (flags != 0)
    must(::mount(nullptr, onto.c_str(), nullptr, MS_BIND | MS_REMOUNT | flags, nullptr), "remount");
}

}  // namespace test
