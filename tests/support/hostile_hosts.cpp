// tests/support/hostile_hosts.hpp as a program for containers: `hostile_hosts lease|flock|fifo|silence FILE`
// prints "ready" and holds on until it is killed.
#include "support/hostile_hosts.hpp"

#include <cstdio>
#include <map>

int main(int argc, char** argv) {
  const std::map<std::string, void (*)(const std::string&)> ways{
      {"lease", test::hold_lease},
      {"flock", test::hold_flock},
      {"fifo", test::put_fifo},
      {"silence", [](const std::string& file) { test::mount_silence(file); }}};
  const auto way = argc == 3 ? ways.find(argv[1]) : ways.end();
  if (way == ways.end()) {
    std::fputs("hostile_hosts lease|flock|fifo|silence FILE\n", stderr);
    return 2;
  }
  try {
    way->second(argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  std::puts("ready");
  std::fflush(stdout);
  for (;;) ::pause();
}
