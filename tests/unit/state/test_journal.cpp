// The journal: what is written is read back, and nothing else is believed.
#include "core/file.hpp"
#include "hostnet/error.hpp"
#include "state/journal.hpp"
#include "support/temp_dir.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

using namespace hostnet;
using namespace hostnet::state;
using namespace std::chrono_literals;

namespace {

Lease lease(const char* id) {
  return {.id = id,
          .target = "network web",
          .label = "a label",
          .owner = {.token = "00ff",
                    .pid = 42,
                    .start = 99,
                    .uid = 0,
                    .command = "tests",
                    .lifetime = Lifetime::descriptor},
          .ifindex = 5,
          .gateways = {*Ipv4::parse("10.0.0.1"), *Ipv4::parse("172.17.0.1")},
          .sources = {*Ipv4::parse("10.0.0.2")},
          .mac = Mac::parse("02:42:0a:00:00:02"),
          .ports = {HostPort::same(80), {5432, 15432, Protocol::udp}},
          .served = ProcessId{.pid = 7, .start = 8},
          .aliases = {{.container = "abc", .pid = 7, .pid_start = 8, .hosts_path = "/x/hosts"}},
          .created = 1700000000,
          .expires = 1700000060,
          .releasing = true};
}

Holdings holdings() {
  return {{{.ifindex = 5, .name = "br0", .prior_route_localnet = true}},
          {lease("0a"), lease("0b")},
          Firewall::nftables};
}

Errc code_of(const std::string& text) {
  try {
    from_json(text, "boot");
  } catch (const Error& error) {
    return error.code();
  }
  return Errc{-1};
}

}  // namespace

TEST_CASE("every field survives") { CHECK(from_json(to_json(holdings(), "boot"), "boot") == holdings()); }

TEST_CASE("a journal of another boot holds nothing") {
  CHECK(from_json(to_json(holdings(), "boot"), "another").leases.empty());
}

TEST_CASE("a name that is not UTF-8 does not stop the journal from being written") {
  auto held = holdings();
  held.leases[0].owner.command = "\xff\xfe";
  CHECK_NOTHROW(from_json(to_json(held, "boot"), "boot"));
}

TEST_CASE("cut off anywhere, it is refused") {
  const auto text = to_json(holdings(), "boot");
  for (std::size_t size = 0; size < text.size(); ++size) {
    CAPTURE(size);
    REQUIRE(code_of(text.substr(0, size)) == Errc::state_corrupt);
  }
}

TEST_CASE("with any value of another kind, or missing, it is refused or still a journal; it never crashes") {
  using Json = nlohmann::json;
  const auto whole = Json::parse(to_json(holdings(), "boot"));
  const std::vector<Json> others{nullptr,       true,          -1, 1e300, 18446744073709551615U, "", "x",
                                 Json::array(), Json::object()};
  unsigned refused = 0;
  const auto flat = whole.flatten();
  for (const auto& [pointer, value] : flat.items()) {
    for (const auto& other : others) {
      auto changed = whole;
      changed[Json::json_pointer(pointer)] = other;
      try {
        from_json(changed.dump(), "boot");
      } catch (const Error& error) {
        CHECK(error.code() == Errc::state_corrupt);
        ++refused;
      }
    }
  }
  CHECK(refused > flat.size() * 4);
}

TEST_CASE("ids that could lead out of the folder or into a rule are refused") {
  auto held = holdings();
  held.leases[0].owner.token = "../../etc/passwd";
  CHECK(code_of(to_json(held, "boot")) == Errc::state_corrupt);
  held = holdings();
  held.leases[0].id = "x -j ACCEPT";
  CHECK(code_of(to_json(held, "boot")) == Errc::state_corrupt);
}

TEST_CASE("leases stand in one of the two firewalls, and in no other") {
  auto held = holdings();
  held.firewall = Firewall::iptables;
  CHECK(from_json(to_json(held, "boot"), "boot").firewall == Firewall::iptables);
  held.firewall = Firewall::automatic;
  CHECK(code_of(to_json(held, "boot")) == Errc::state_corrupt);
}

TEST_CASE("a lease must stand on a bridge of the journal") {
  auto held = holdings();
  held.bridges.clear();
  CHECK(code_of(to_json(held, "boot")) == Errc::state_corrupt);
}

TEST_CASE("save and load; nothing held leaves no file; tidy leaves no folder") {
  const test::TempDir dir;
  const auto folder = dir.path() / "run" / "netns-1";
  {
    const Journal journal(folder, Deadline::after(1s));
    CHECK(journal.load().leases.empty());
    journal.save(holdings());
    CHECK(journal.load() == holdings());
    CHECK(peek(folder) == holdings());
    struct stat status {};
    REQUIRE(::stat((folder / "journal.json").c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
    journal.save({});
    CHECK_FALSE(std::filesystem::exists(folder / "journal.json"));
    journal.tidy({});
  }
  CHECK_FALSE(std::filesystem::exists(folder));
}

TEST_CASE("one at a time: a second taker waits, and gives up at its deadline") {
  const test::TempDir dir;
  const auto folder = dir.path() / "netns-1";
  auto first = std::make_unique<Journal>(folder, Deadline::after(1s));
  try {
    const Journal second(folder, Deadline::after(20ms));
    FAIL("two at once");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::timed_out);
  }
  std::jthread release([&] {
    std::this_thread::sleep_for(30ms);
    first.reset();
  });
  CHECK_NOTHROW(Journal(folder, Deadline::after(5s)));
}

TEST_CASE("whoever waited while the folder was tidied away gets a lock that counts") {
  const test::TempDir dir;
  const auto folder = dir.path() / "netns-1";
  auto first = std::make_unique<Journal>(folder, Deadline::after(1s));
  std::jthread tidier([&] {
    std::this_thread::sleep_for(30ms);
    first->tidy({});
    first.reset();
  });
  const Journal second(folder, Deadline::after(5s));
  CHECK(std::filesystem::exists(folder / "lock"));
  CHECK_THROWS_AS(Journal(folder, Deadline::after(10ms)), Error);
}

TEST_CASE("a folder that others may write is not trusted") {
  const test::TempDir dir;
  const auto folder = dir.path() / "netns-1";
  std::filesystem::create_directory(folder);
  REQUIRE(::chmod(folder.c_str(), 0777) == 0);
  try {
    const Journal journal(folder, Deadline::after(1s));
    FAIL("trusted");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::not_authorised);
  }
}

TEST_CASE("a corrupt file is refused by name and can be set aside") {
  const test::TempDir dir;
  const auto folder = dir.path() / "netns-1";
  const Journal journal(folder, Deadline::after(1s));
  replace_file(folder / "journal.json", "{", 0600);
  try {
    static_cast<void>(journal.load());
    FAIL("believed");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::state_corrupt);
    CHECK(std::string(error.what()).find("journal.json") != std::string::npos);
    CHECK(error.hint().find("release --all") != std::string::npos);
  }
  journal.set_aside();
  CHECK(journal.load().leases.empty());
  CHECK(std::filesystem::exists(folder / "journal.json.corrupt"));
}
