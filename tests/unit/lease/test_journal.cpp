// The journal: written leases are read back, and nothing else is accepted.
#include "core/file.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "lease/journal.hpp"
#include "lease/journal_file.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

using namespace hostnet;
using namespace hostnet::state;
using namespace std::chrono_literals;

namespace {

Lease lease(const char* id) {
  return {
      .id = id,
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
      .port = "veth7",
      .unpinned = "10.0.0.2 is behind no port of the bridge",
      .ports = {HostPort::same(80), {5432, 15432, Protocol::udp}},
      .served = ProcessId{.pid = 7, .start = 8},
      .aliases = {{.container = "abc", .pid = 7, .pid_start = 8, .hosts_path = "/x/hosts", .file = {9, 10}}},
      .created = 1700000000,
      .expires = 1700000060,
      .expose_own = true,
      .releasing = true};
}

Snapshot snapshot() {
  return {{{.ifindex = 5, .name = "br0", .prior_route_localnet = true}},
          {lease("0a"), lease("0b")},
          Firewall::nftables,
          {{.lease = "0c", .record = lease("0c").aliases.front(), .tries = 2}}};
}

Snapshot with(const Lease& one) { return {snapshot().bridges, {one}, Firewall::nftables}; }

Errc code_of(const std::string& text) {
  try {
    from_json(text, "boot");
  } catch (const Error& error) {
    return error.code();
  }
  return Errc{-1};
}

}  // namespace

TEST_CASE("every field survives") { CHECK(from_json(to_json(snapshot(), "boot"), "boot") == snapshot()); }

TEST_CASE("a port's address survives; without one it is 127.0.0.1, and what no forward leads to is refused") {
  auto one = lease("0a");
  one.ports = {HostPort::same(80), HostPort::parse("127.0.0.2:81:82/udp")};
  const auto text = to_json(with(one), "boot");
  CHECK(text.find(R"("ports":["80/tcp","127.0.0.2:81:82/udp"])") != std::string::npos);
  CHECK(from_json(text, "boot") == with(one));
  for (const char* port : {"[::1]:80", "/run/a.sock:80"}) {
    one.ports = {HostPort::parse(port)};
    CHECK(code_of(to_json(with(one), "boot")) == Errc::state_corrupt);
  }
}

TEST_CASE("a journal without expose-own marks is read, and its leases stay under any listener") {
  auto old = nlohmann::json::parse(to_json(snapshot(), "boot"));
  for (auto& one : old["leases"]) REQUIRE(one.erase("expose_own") == 1);
  const auto read = from_json(old.dump() + '\n', "boot");
  REQUIRE(read.leases.size() == 2);
  for (const auto& one : read.leases) CHECK_FALSE(one.expose_own);
}

TEST_CASE("an older journal without files and names is read") {
  auto json = nlohmann::json::parse(to_json(snapshot(), "boot"));
  json.erase("names");
  for (auto& lease : json["leases"]) lease["aliases"][0].erase("file");
  const auto held = from_json(json.dump() + '\n', "boot");
  CHECK(held.names.empty());
  CHECK_FALSE(held.leases.front().aliases.front().file.is_known());
}

TEST_CASE("leftover names have their own lines, and keep the journal without a lease") {
  auto held = snapshot();
  auto after = held;
  after.names.front().tries = 3;
  CHECK(held.has_same_rules(after));
  apply_changes(held, to_json_change(held, after));
  CHECK(held == after);
  after.names.clear();
  apply_changes(held, to_json_change(held, after));
  CHECK(held == after);
  const Snapshot names_only{{}, {}, Firewall::nftables, snapshot().names};
  CHECK_FALSE(names_only.is_empty());
  CHECK(from_json(to_json(names_only, "boot"), "boot") == names_only);
  auto odd = names_only;
  odd.names.front().lease = "x # y";
  CHECK(code_of(to_json(odd, "boot")) == Errc::state_corrupt);
}

TEST_CASE("a journal of another boot holds nothing") {
  CHECK(from_json(to_json(snapshot(), "boot"), "another").leases.empty());
}

TEST_CASE("a lease without a reason for its missing binding is read, and the reason is derived") {
  auto old = lease("0a");
  old.unpinned.clear();
  CHECK(to_json(with(old), "boot").find("unpinned") == std::string::npos);
  CHECK(from_json(to_json(with(old), "boot"), "boot") == with(old));
  CHECK(why_unpinned(old).empty());
  old.port.clear();
  CHECK(why_unpinned(old) == "its container's port of the bridge is not known");
  old.sources.clear();
  CHECK(why_unpinned(old) == "only its Ethernet address identifies its container");
  old.mac.reset();
  CHECK(why_unpinned(old).empty());  // a lease for all containers needs no binding
  CHECK(why_unpinned(lease("0a")) == "10.0.0.2 is behind no port of the bridge");
}

TEST_CASE("a name that is not UTF-8 does not stop the journal from being written") {
  auto odd = lease("0a");
  odd.owner.command = "\xff\xfe";
  CHECK_NOTHROW(from_json(to_json(with(odd), "boot"), "boot"));
}

TEST_CASE("a journal truncated anywhere is refused") {
  const auto text = to_json(snapshot(), "boot");
  for (std::size_t size = 0; size < text.size(); ++size) {
    CAPTURE(size);
    REQUIRE(code_of(text.substr(0, size)) == Errc::state_corrupt);
  }
}

TEST_CASE("a journal with any value changed in type or missing is refused or valid; it never crashes") {
  using Json = nlohmann::json;
  const auto whole = Json::parse(to_json(snapshot(), "boot"));
  const std::vector<Json> others{nullptr,       true,          -1, 1e300, 18446744073709551615U, "", "x",
                                 Json::array(), Json::object()};
  unsigned refused = 0;
  const auto flat = whole.flatten();
  for (const auto& [pointer, value] : flat.items()) {
    for (const auto& other : others) {
      auto changed = whole;
      changed[Json::json_pointer(pointer)] = other;
      try {
        from_json(changed.dump() + '\n', "boot");
      } catch (const Error& error) {
        CHECK(error.code() == Errc::state_corrupt);
        ++refused;
      }
    }
  }
  CHECK(refused > flat.size() * 4);
}

TEST_CASE("ids that could lead out of the folder or into a rule are refused") {
  auto odd = lease("0a");
  odd.owner.token = "../../etc/passwd";
  CHECK(code_of(to_json(with(odd), "boot")) == Errc::state_corrupt);
  CHECK(code_of(to_json(with(lease("x -j ACCEPT")), "boot")) == Errc::state_corrupt);
}

TEST_CASE("a lease names one of the two firewalls, and no other") {
  auto held = snapshot();
  held.firewall = Firewall::iptables;
  CHECK(from_json(to_json(held, "boot"), "boot").firewall == Firewall::iptables);
  held.firewall = Firewall::automatic;
  CHECK(code_of(to_json(held, "boot")) == Errc::state_corrupt);
}

TEST_CASE("a lease must name a bridge of the journal") {
  auto held = snapshot();
  held.bridges.clear();
  CHECK(code_of(to_json(held, "boot")) == Errc::state_corrupt);
}

TEST_CASE("save and load; no lease leaves no file; tidy leaves no folder") {
  const test::TempDir dir;
  const auto folder = dir.path() / "run" / "netns-1";
  {
    JournalFile file(folder);
    const Journal journal(file, Deadline::after(1s));
    CHECK(journal.load().leases.empty());
    journal.save(snapshot());
    CHECK(journal.load() == snapshot());
    CHECK(peek(folder) == snapshot());
    struct stat status {};
    REQUIRE(::stat((folder / "journal.jsonl").c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
    journal.save({});
    CHECK_FALSE(std::filesystem::exists(folder / "journal.jsonl"));
    journal.tidy({});
  }
  CHECK_FALSE(std::filesystem::exists(folder));
}

TEST_CASE("a change contains the difference and turns one state into the other") {
  const auto from = snapshot();
  CHECK(to_json_change(from, from).empty());
  CHECK(to_json_change(from, snapshot()).empty());

  auto renamed = from;
  renamed.bridges[0].name = "br1";
  auto more = from;
  more.leases.push_back(lease("0c"));
  auto fewer = from;
  fewer.leases.erase_if([](const Lease& one) { return one.id == "0a"; });
  auto other = lease("0b");
  other.sources.clear();
  auto changed = from;
  changed.leases.replace(other);
  auto all = fewer;
  all.bridges.push_back({.ifindex = 6, .name = "br6"});
  all.leases.replace(other);
  auto elsewhere = lease("0d");
  elsewhere.ifindex = 6;
  all.leases.push_back(elsewhere);
  for (const auto& to : {renamed, more, fewer, changed, all}) {
    auto held = from;
    const auto line = to_json_change(from, to);
    CHECK(line.find('\n') == line.size() - 1);
    apply_changes(held, line);
    CHECK(held == to);
    CHECK(from_json(to_json(from, "boot") + line + to_json_change(to, from), "boot").leases.size() == 2);
  }
  CHECK(to_json_change(from, more).find(R"("id":"0a")") == std::string::npos);
}

TEST_CASE("a journal truncated within a change has the state before that change") {
  const auto before = snapshot();
  auto after = before;
  after.leases.push_back(lease("0c"));
  const auto text = to_json(before, "boot");
  const auto change = to_json_change(before, after);
  for (std::size_t size = 0; size < change.size(); ++size) {
    CAPTURE(size);
    REQUIRE(from_json(text + change.substr(0, size), "boot") == before);
  }
  CHECK(from_json(text + change, "boot") == after);
}

TEST_CASE("an invalid change, or one that leaves a lease without a bridge, is refused") {
  const auto text = to_json(snapshot(), "boot");
  for (const char* const line : {"\n", "1\n", "{}\n",
                                 R"({"gone":[],"leases":[1]})"
                                 "\n",
                                 R"({"gone":[1],"leases":[]})"
                                 "\n",
                                 R"({"gone":[],"leases":[],"bridges":[]})"
                                 "\n"}) {
    CAPTURE(line);
    CHECK(code_of(text + line) == Errc::state_corrupt);
  }
}

TEST_CASE("two stores see each other's writes; the file grows by changes and is compacted") {
  const test::TempDir dir;
  JournalFile mine(dir.path());
  JournalFile theirs(dir.path());
  auto held = snapshot();
  mine.write(held);
  CHECK(theirs.read() == held);
  const auto before = theirs.news();
  std::size_t rewritten = 0;
  ino_t inode = 0;
  for (int i = 0; i < 1000; ++i) {
    CAPTURE(i);
    auto& writer = i % 3 == 0 ? theirs : mine;
    REQUIRE(writer.read() == held);
    auto changed = lease("0b");
    changed.label = std::to_string(i);
    held.leases.replace(changed);
    writer.write(held);
    struct stat status {};
    REQUIRE(::stat(mine.path().c_str(), &status) == 0);
    REQUIRE(status.st_size < 80'000);
    if (std::exchange(inode, status.st_ino) != status.st_ino) ++rewritten;
  }
  CHECK(theirs.news() > before);
  CHECK(rewritten > 1);
  CHECK(rewritten < 20);
  CHECK(peek(dir.path()) == held);

  const auto news = mine.news();
  mine.read();
  mine.write(held);
  mine.read();
  CHECK(mine.news() <= news + 1);
  theirs.write({});
  CHECK(mine.read() == Snapshot{});
  CHECK(mine.news() > news);
}

TEST_CASE("the partial write of a killed process is ignored, and is not in the next file") {
  const test::TempDir dir;
  JournalFile file(dir.path());
  auto held = snapshot();
  file.write(held);
  write_all(Fd(::open(file.path().c_str(), O_WRONLY | O_APPEND)).get(), R"({"gone":["0a"],"lea)");
  CHECK(file.read() == held);
  CHECK(peek(dir.path()) == held);
  held.leases.push_back(lease("0c"));
  file.write(held);
  CHECK(peek(dir.path()) == held);
  CHECK(read_file(file.path()) == to_json(held, trim(read_file("/proc/sys/kernel/random/boot_id"))));
}

TEST_CASE("the lock is exclusive: a second taker waits, and gives up at its deadline") {
  const test::TempDir dir;
  const auto folder = dir.path() / "netns-1";
  JournalFile file(folder);
  JournalFile other(folder);
  auto first = std::make_unique<Journal>(file, Deadline::after(1s));
  try {
    const Journal second(other, Deadline::after(20ms));
    FAIL("two at once");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::timed_out);
  }
  std::jthread release([&] {
    std::this_thread::sleep_for(30ms);
    first.reset();
  });
  CHECK_NOTHROW(Journal(other, Deadline::after(5s)));
}

TEST_CASE("a waiter gets a valid lock even if the folder was removed during its wait") {
  const test::TempDir dir;
  const auto folder = dir.path() / "netns-1";
  JournalFile file(folder);
  JournalFile other(folder);
  auto first = std::make_unique<Journal>(file, Deadline::after(1s));
  std::jthread tidier([&] {
    std::this_thread::sleep_for(30ms);
    first->tidy({});
    first.reset();
  });
  const Journal second(other, Deadline::after(5s));
  CHECK(std::filesystem::exists(folder / "lock"));
  CHECK_THROWS_AS(Journal(file, Deadline::after(10ms)), Error);
}

TEST_CASE("a folder that others may write is not trusted") {
  const test::TempDir dir;
  const auto folder = dir.path() / "netns-1";
  std::filesystem::create_directory(folder);
  REQUIRE(::chmod(folder.c_str(), 0777) == 0);
  JournalFile file(folder);
  try {
    const Journal journal(file, Deadline::after(1s));
    FAIL("trusted");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::not_authorised);
  }
}

TEST_CASE("a corrupt file is refused by name and can be set aside") {
  const test::TempDir dir;
  const auto folder = dir.path() / "netns-1";
  JournalFile file(folder);
  const Journal journal(file, Deadline::after(1s));
  replace_file(file.path(), "{\n", 0600);
  try {
    static_cast<void>(journal.load());
    FAIL("believed");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::state_corrupt);
    CHECK(std::string(error.what()).find("journal.jsonl") != std::string::npos);
    CHECK(error.hint().find("release --all") != std::string::npos);
  }
  journal.set_aside();
  CHECK(journal.load().leases.empty());
  CHECK(std::filesystem::exists(folder / "journal.jsonl.corrupt"));
}

TEST_CASE("a foreign journal or lock file is refused, left unchanged, and not waited for") {
  namespace fs = std::filesystem;
  const test::TempDir dir;
  const auto folder = dir.path() / "netns-1";
  fs::create_directory(folder);
  replace_file(dir.path() / "victim", to_json(snapshot(), "boot"), 0600);
  for (const auto* const name : {"journal.jsonl", "lock"}) {
    for (const int shape : {0, 1, 2}) {
      CAPTURE(name);
      CAPTURE(shape);
      if (shape == 0) fs::create_symlink(dir.path() / "victim", folder / name);
      if (shape == 1) fs::create_hard_link(dir.path() / "victim", folder / name);
      if (shape == 2) REQUIRE(::mkfifo((folder / name).c_str(), 0600) == 0);
      JournalFile file(folder);
      const auto refusal = test::error_of([&] {
        const Journal journal(file, Deadline::after(1s));
        static_cast<void>(journal.load());
      });
      CHECK(refusal.code() == Errc::not_authorised);
      CHECK(std::string(refusal.what()).find((folder / name).string()) != std::string::npos);
      if (std::string_view(name) == "journal.jsonl") {
        CHECK_THROWS_AS(peek(folder), Error);
        CHECK_THROWS_AS(file.write({}), Error);
      }
      CHECK(fs::symlink_status(folder / name).type() != fs::file_type::not_found);
      fs::remove(folder / name);
      CHECK(read_file(dir.path() / "victim") == to_json(snapshot(), "boot"));
      fs::remove(folder / "lock");
    }
  }
}

TEST_CASE("tidying a journal's folder follows no link and removes nothing but owners' files") {
  namespace fs = std::filesystem;
  const test::TempDir dir;
  const auto folder = dir.path() / "netns-1";
  fs::create_directories(dir.path() / "victims");
  replace_file(dir.path() / "victims" / "00ff", "secret", 0600);
  JournalFile file(folder);
  const Journal journal(file, Deadline::after(1s));
  fs::create_directory_symlink(dir.path() / "victims", folder / "owners");
  journal.tidy({});
  CHECK(fs::exists(dir.path() / "victims" / "00ff"));
  fs::remove(folder / "owners");
  fs::create_directory(folder / "owners");
  fs::create_hard_link(dir.path() / "victims" / "00ff", folder / "owners" / "00ff");
  replace_file(folder / "owners" / "dead", "", 0600);
  journal.tidy({});
  CHECK(fs::exists(folder / "owners" / "00ff"));
  CHECK_FALSE(fs::exists(folder / "owners" / "dead"));
}
