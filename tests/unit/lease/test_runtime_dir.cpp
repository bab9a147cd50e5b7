// The choice of the folder from the environment: never a relative one, and never one in /tmp.
#include "lease/runtime_dir.hpp"
#include "support/temp_dir.hpp"
#include "support/unprivileged.hpp"
#include "unit/engine/environment.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <deque>
#include <map>
#include <string>

using namespace hostnet::state;
namespace fs = std::filesystem;

namespace {

constexpr std::array kVariables{"TC_HOSTNET_RUNTIME_DIR", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "HOME"};

// user_dir() of a user who is not root, with these variables alone.
fs::path user_dir_with(const std::map<std::string, std::string>& variables,
                       const std::string& configured = {}) {
  std::deque<test::Variable> environment;
  for (const char* const name : kVariables) {
    const auto found = variables.find(name);
    environment.emplace_back(name, found == variables.end() ? nullptr : found->second.c_str());
  }
  const auto look = [&] { return user_dir(configured); };
  return ::geteuid() == 0 ? test::run_unprivileged(look) : look();
}

}  // namespace

TEST_CASE("the runtime folder of a session comes first, then the state folder, then the one below the home") {
  CHECK(user_dir_with({{"XDG_RUNTIME_DIR", "/r"}, {"XDG_STATE_HOME", "/s"}}) == "/r/tc-hostnet");
  CHECK(user_dir_with({{"XDG_STATE_HOME", "/s"}, {"HOME", "/h"}}) == "/s/tc-hostnet");
  const auto home = user_dir_with({});
  CHECK(home.is_absolute());
  CHECK(home.string().ends_with("/.local/state/tc-hostnet"));
  CHECK(home.string().find("/tmp") == std::string::npos);
}

TEST_CASE("a variable that holds no absolute path counts as unset") {
  const auto home = user_dir_with({});
  for (const char* const value : {"", "run", "./run", "~/run"}) {
    CAPTURE(value);
    CHECK(user_dir_with({{"XDG_RUNTIME_DIR", value}, {"XDG_STATE_HOME", "/s"}}) == "/s/tc-hostnet");
    CHECK(user_dir_with({{"XDG_RUNTIME_DIR", value}, {"XDG_STATE_HOME", value}, {"HOME", value}}) == home);
  }
}

TEST_CASE("a home that belongs to another user does not count as the caller's own") {
  const test::TempDir mine;
  fs::permissions(mine.path(), fs::perms(0755));
  const auto below = mine.path() / ".local" / "state" / "tc-hostnet";
  // The folder belongs to the user who runs the test; if that is root, the caller below is another user.
  CHECK((user_dir_with({{"HOME", mine.path().string()}}) == below) == (::geteuid() != 0));
  CHECK(user_dir_with({{"HOME", "/"}}) == user_dir_with({}));
}

TEST_CASE("a configured folder applies to all users, and an empty variable has no effect") {
  CHECK(user_dir_with({{"TC_HOSTNET_RUNTIME_DIR", "/t"}, {"XDG_RUNTIME_DIR", "/r"}}) == "/t");
  CHECK(user_dir_with({{"TC_HOSTNET_RUNTIME_DIR", "/t"}}, "/c") == "/c");
  CHECK(user_dir_with({{"TC_HOSTNET_RUNTIME_DIR", ""}, {"XDG_RUNTIME_DIR", "/r"}}) == "/r/tc-hostnet");
  CHECK(user_dir_with({}, "relative") == fs::current_path() / "relative");
}
