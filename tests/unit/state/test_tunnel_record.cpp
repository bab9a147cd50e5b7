// Records of leases on the ssh path: their text, and the folder they are in.
#include "state/owner.hpp"
#include "state/tunnel_record.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

using namespace hostnet;
using namespace hostnet::state;

namespace {

TunnelRecord record(const char* id = "0a") {
  return {.id = id,
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
          .facts = {.state = "up",
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
}

TEST_CASE("what is no record is said to be none") {
  const auto whole = tunnel_record_to_json(record());
  for (std::size_t length = 0; length + 2 < whole.size(); length += 7)
    CHECK(test::error_of([&] { tunnel_record_from_json(whole.substr(0, length)); }).code() ==
          Errc::state_corrupt);
  CHECK(test::error_of([] { tunnel_record_from_json(R"({"schema":2})"); }).code() == Errc::state_corrupt);
}

TEST_CASE("a store keeps records, oldest first, and leaves nothing") {
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

TEST_CASE("tidying leaves what belongs to the living") {
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
    // As another process would; its lock on the folder waits for ours.
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

TEST_CASE("a folder that others may write is refused") {
  const test::TempDir folder;
  std::filesystem::create_directory(folder.path() / "state");
  std::filesystem::permissions(folder.path() / "state", std::filesystem::perms::all);
  const TunnelStore store(folder.path() / "state");
  CHECK(test::error_of([&] { store.save(record()); }).code() == Errc::not_authorised);
}
