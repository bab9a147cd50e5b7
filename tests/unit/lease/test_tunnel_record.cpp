// Records of leases on the ssh path: their text and their folder.
#include "lease/owner.hpp"
#include "lease/record_watch.hpp"
#include "lease/tunnel_record.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>

using namespace hostnet;
using namespace hostnet::state;

namespace {

namespace fs = std::filesystem;

void write_text(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

TunnelRecord record(const char* id = "0a") {
  return {.via = "ssh",
          .id = id,
          .target = "container api",
          .label = "a label",
          .owner = {.token = "00ff", .pid = 42, .start = 99, .uid = 0, .command = "tests"},
          .engine = "/run/docker.sock",
          .sidecar = "abc",
          .network = "web",
          .address = "10.0.0.3",
          .sources = {"10.0.0.2"},
          .ports = {HostPort::same(80), HostPort::parse("/run/db.sock:5432")},
          .alias_in = {"def"},
          .created = 1700000000,
          .expires = 1700000060,
          .stats = {.state = "up",
                    .reason = "none",
                    .cipher = "aes",
                    .sessions = 2,
                    .reconnects = 1,
                    .accepted = 3,
                    .strangers = 4,
                    .unserved = 5,
                    .bytes_to_host = 6,
                    .bytes_from_host = 7,
                    .open = 8}};
}

}  // namespace

TEST_CASE("every field survives") {
  CHECK(tunnel_record_from_json(tunnel_record_to_json(record())) == record());
  auto forever = record();
  forever.expires.reset();
  CHECK(tunnel_record_from_json(tunnel_record_to_json(forever)) == forever);
  auto for_one = record();
  for_one.via = "relay";
  for_one.container = "0123";
  CHECK(tunnel_record_from_json(tunnel_record_to_json(for_one)) == for_one);
  for_one.handed_off = true;
  for_one.listens = {61080, 5432};
  CHECK(tunnel_record_from_json(tunnel_record_to_json(for_one)) == for_one);
}

TEST_CASE("a relay lease listens at the port, or where its record says") {
  auto one = record();
  one.address = "127.0.0.77";
  CHECK(listens_at(one, 0) == "127.0.0.77:80");
  one.listens = {61080};
  CHECK(listens_at(one, 0) == "127.0.0.77:61080");
  CHECK(listens_at(one, 1) == "127.0.0.77:5432");
}

TEST_CASE("what a tunnel has carried, in words") {
  CHECK(carried(record().stats) == "8 connections open of 3, 6 B to the host, 7 B from it");
  CHECK(carried({.accepted = 1, .bytes_to_host = 1'250'000, .bytes_from_host = 2'000'000'000'000'000}) ==
        "0 connections open of 1, 1.2 MB to the host, 2000.0 TB from it");
}

TEST_CASE("the numbers of several tunnels are added up; state, reason and cipher stay") {
  auto sum = record().stats;
  sum.add({.state = "failed",
           .reason = "another",
           .cipher = "another",
           .sessions = 10,
           .reconnects = 20,
           .accepted = 30,
           .strangers = 40,
           .unserved = 50,
           .bytes_to_host = 60,
           .bytes_from_host = 70,
           .open = 80});
  CHECK(sum == TunnelStats{.state = "up",
                           .reason = "none",
                           .cipher = "aes",
                           .sessions = 12,
                           .reconnects = 21,
                           .accepted = 33,
                           .strangers = 44,
                           .unserved = 55,
                           .bytes_to_host = 66,
                           .bytes_from_host = 77,
                           .open = 88});
}

TEST_CASE("text that is not a record is refused as such") {
  const auto whole = tunnel_record_to_json(record());
  for (std::size_t length = 0; length + 2 < whole.size(); length += 7)
    CHECK(test::error_of([&] { tunnel_record_from_json(whole.substr(0, length)); }).code() ==
          Errc::state_corrupt);
  CHECK(test::error_of([] { tunnel_record_from_json(R"({"schema":2})"); }).code() == Errc::state_corrupt);
}

TEST_CASE("a store keeps records, oldest first, and leaves nothing behind") {
  const test::TempDir folder;
  const TunnelStore store(folder.path() / "state");
  CHECK(store.load().empty());
  CHECK_FALSE(std::filesystem::exists(store.folder()));
  auto younger = record("0b");
  younger.created += 1;
  store.save(younger);
  store.save(record());
  CHECK(store.load() == std::vector{record(), younger});
  CHECK(store.contains("0a"));
  store.remove("0a");
  store.remove("0b");
  store.remove("0b");
  CHECK_FALSE(store.contains("0a"));
  store.tidy();
  CHECK_FALSE(std::filesystem::exists(store.folder()));
}

// Who releases a lease of a live owner clears away what is there, and may be killed in between; the owner may be adding
// something at that moment, and be killed, too.
TEST_CASE("a revoked record stays until its owner has ended") {
  const test::TempDir folder;
  const TunnelStore store(folder.path() / "state");
  store.revoke("0a");
  auto held = record();
  {
    const Owner owner(store.folder());
    held.owner = owner.id();
    store.save(held);
    store.revoke(held.id);
    CHECK_FALSE(store.contains(held.id));
    CHECK(store.load().empty());
    CHECK(store.load_revoked() == std::vector{held});
    CHECK(store.is_revoked(held.id));
    CHECK_FALSE(store.is_revoked("0b"));
    CHECK(test::error_of([&] { store.save(held); }).code() == Errc::failure);
    CHECK(store.load().empty());
    store.forget(held);
    store.tidy();
    CHECK(store.load_revoked() == std::vector{held});
  }
  store.tidy();
  CHECK(store.load_revoked() == std::vector{held});
  store.forget(held);  // by the next command, as the owner is dead
  CHECK(store.load_revoked().empty());
  {
    const Owner owner(store.folder());
    held.owner = owner.id();
    store.save(held);
    store.revoke(held.id);
    store.remove(held.id);  // by the owner
    CHECK(store.load_revoked().empty());
    store.save(held);  // one that nobody revoked, although its owner lives
    store.forget(held);
    CHECK_FALSE(store.contains(held.id));
  }
  store.tidy();
  CHECK_FALSE(fs::exists(store.folder()));
}

TEST_CASE("an owner hears at once that its record was revoked, and not of other changes") {
  const test::TempDir folder;
  const TunnelStore store(folder.path() / "state");
  store.save(record());
  RecordWatch watch(store, "0a");
  REQUIRE(watch.fd() >= 0);
  const auto is_readable = [&] {
    pollfd fd{watch.fd(), POLLIN, 0};
    return ::poll(&fd, 1, 0) == 1;
  };
  store.save(record());
  store.save(record("0b"));
  store.revoke("0b");
  CHECK(is_readable());
  CHECK_FALSE(watch.read());
  CHECK_FALSE(is_readable());
  store.revoke("0a");
  CHECK(is_readable());
  CHECK(watch.read());
  const TunnelStore none(folder.path() / "none");
  CHECK(RecordWatch(none, "0a").fd() == -1);
}

TEST_CASE("tidying keeps the files of live owners") {
  const test::TempDir folder;
  const TunnelStore store(folder.path() / "state");
  {
    const auto locked = store.lock();
    const Owner owner(store.folder());
    auto held = record();
    held.owner = owner.id();
    CHECK(store.is_alive(held));
    std::ofstream(store.folder() / "owners" / "dead");
    std::ofstream(store.folder() / "0c.json.new");
    // Like another process, whose folder lock waits for ours.
    CHECK(std::filesystem::exists(store.folder() / "owners" / owner.id().token));
  }
  {
    const Owner owner(store.folder());
    store.tidy();
    CHECK(std::filesystem::exists(store.folder() / "owners" / owner.id().token));
    CHECK_FALSE(std::filesystem::exists(store.folder() / "owners" / "dead"));
    CHECK_FALSE(std::filesystem::exists(store.folder() / "0c.json.new"));
  }
  store.tidy();
  CHECK_FALSE(std::filesystem::exists(store.folder()));
}

TEST_CASE("a folder that others may write is refused, and nothing in it is read or removed") {
  for (const auto* const open : {"state", "state/ssh", "state/ssh/owners"}) {
    CAPTURE(open);
    const test::TempDir folder;
    const TunnelStore store(folder.path() / "state");
    store.save(record());
    fs::create_directories(store.folder() / "owners");
    write_text(store.folder() / "owners" / "dead", "");
    write_text(store.folder() / "0c.json.new", "");
    fs::permissions(folder.path() / open, fs::perms::all);
    store.tidy();
    CHECK(fs::exists(store.folder() / "owners" / "dead"));
    CHECK(test::error_of([&] { static_cast<void>(store.is_alive(record())); }).code() ==
          Errc::not_authorised);
    if (fs::path(open).filename() == "owners") continue;
    CHECK(test::error_of([&] { store.save(record("0d")); }).code() == Errc::not_authorised);
    CHECK(test::error_of([&] { static_cast<void>(store.load()); }).code() == Errc::not_authorised);
    store.remove("0a");
    CHECK(fs::exists(store.folder() / "0a.json"));
    CHECK(fs::exists(store.folder() / "0c.json.new"));
    CHECK(store.contains("0a"));
  }
}

TEST_CASE("tidying follows no link, and removes no file that is not an owner's") {
  const test::TempDir folder;
  const TunnelStore store(folder.path() / "state");
  store.save(record());
  store.remove("0a");
  const auto victims = folder.path() / "victims";
  fs::create_directory(victims);
  for (const auto* const name : {"00ff", "id_rsa", "1234"}) write_text(victims / name, "secret");
  // The owners' folder is a link: nothing behind it is an owner's file.
  fs::create_directory_symlink(victims, store.folder() / "owners");
  store.tidy();
  CHECK(std::distance(fs::directory_iterator(victims), {}) == 3);
  // The same files in a real folder: two have valid names, but one has a second link and one is a symlink.
  fs::remove(store.folder() / "owners");
  fs::create_directory(store.folder() / "owners");
  fs::create_hard_link(victims / "00ff", store.folder() / "owners" / "00ff");
  fs::create_symlink(victims / "1234", store.folder() / "owners" / "1234");
  write_text(store.folder() / "owners" / "id_rsa", "secret");
  REQUIRE(::mkfifo((store.folder() / "owners" / "abcd").c_str(), 0600) == 0);
  fs::create_hard_link(victims / "00ff", store.folder() / "0c.json.new");
  write_text(store.folder() / "owners" / "dead", "");
  store.tidy();
  CHECK(std::distance(fs::directory_iterator(store.folder() / "owners"), {}) == 4);
  CHECK_FALSE(fs::exists(store.folder() / "owners" / "dead"));
  CHECK(fs::exists(store.folder() / "0c.json.new"));
}

TEST_CASE("a record counts only if it is a regular file of one link, not too large, under its own name") {
  const test::TempDir folder;
  const TunnelStore store(folder.path() / "state");
  store.save(record());
  const auto elsewhere = folder.path() / "elsewhere.json";
  write_text(elsewhere, tunnel_record_to_json(record("0b")));
  CHECK(store.load().size() == 1);
  fs::create_symlink(elsewhere, store.folder() / "0b.json");
  CHECK(store.load().size() == 1);
  fs::remove(store.folder() / "0b.json");
  fs::create_hard_link(elsewhere, store.folder() / "0b.json");
  CHECK(store.load().size() == 1);
  CHECK_FALSE(store.contains("0b"));
  fs::remove(elsewhere);  // removes the other link: now it is valid
  CHECK(store.load().size() == 2);
  REQUIRE(::mkfifo((store.folder() / "0c.json").c_str(), 0600) == 0);
  write_text(store.folder() / "0d.json", tunnel_record_to_json(record("0e")));
  auto large = record("0f");
  large.label.assign(2U << 20, 'x');
  write_text(store.folder() / "0f.json", tunnel_record_to_json(large));
  CHECK(store.load().size() == 2);
  for (const auto* const name : {"0c.json", "0d.json", "0f.json"}) CHECK(fs::exists(store.folder() / name));
}

TEST_CASE("a record of an unknown path is left alone") {
  const test::TempDir folder;
  const TunnelStore store(folder.path() / "state");
  store.save(record("0a"));
  auto text = tunnel_record_to_json(record("0b"));
  const std::string via = R"("via": "ssh")";
  text.replace(text.find(via), via.size(), R"("via": "wormhole")");
  write_text(store.folder() / "0b.json", text);
  CHECK(store.load() == std::vector{record("0a")});
  store.tidy();
  CHECK(fs::exists(store.folder() / "0b.json"));
  const auto error = test::error_of([&] { tunnel_record_from_json(text); });
  CHECK(error.code() == Errc::state_corrupt);
  CHECK(std::string(error.what()).find("wormhole") != std::string::npos);
}

TEST_CASE("an id that could lead out of the folder is refused") {
  for (const auto* const id : {"", "..", "../0a", "/etc/x", "x"}) {
    CAPTURE(id);
    CHECK_THROWS_AS(tunnel_record_from_json(tunnel_record_to_json(record(id))), Error);
    auto odd = record();
    odd.owner.token = id;
    CHECK_THROWS_AS(tunnel_record_from_json(tunnel_record_to_json(odd)), Error);
  }
}

TEST_CASE("a lock that another process keeps is waited for until the deadline, and no longer") {
  const test::TempDir folder;
  const TunnelStore store(folder.path() / "state");
  const auto locked = store.lock();
  const auto start = std::chrono::steady_clock::now();
  const auto error =
      test::error_of([&] { store.save(record(), Deadline::after(std::chrono::milliseconds{50})); });
  CHECK(error.code() == Errc::timed_out);
  CHECK(std::string(error.what()).find(store.folder().string()) != std::string::npos);
  store.tidy();  // gives up by itself
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds{10});
}
