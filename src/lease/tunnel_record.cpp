// Reads and writes the record files.
#include "lease/tunnel_record.hpp"

#include "core/json_reader.hpp"
#include "core/log.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "lease/owner.hpp"
#include "lease/record_socket.hpp"
#include "lease/runtime_dir.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <iterator>

namespace hostnet::state {
namespace {

using Json = json::Value;
constexpr int kRecordSchema = 1;

constexpr std::size_t kLargestRecord =
    1U << 20;  // bytes; enough for about ten thousand containers with the alias
constexpr const char* kRecordFolder = "ssh";
constexpr std::string_view kSuffix = ".json";
constexpr std::string_view kRevoked = ".released";

[[noreturn]] void corrupt_record(const std::string& what) { throw Error(Errc::state_corrupt, what); }
std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array units{"B", "kB", "MB", "GB", "TB"};
  auto amount = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; amount >= 1000 && unit + 1 < units.size(); ++unit) amount /= 1000;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", amount, units[unit]);
}

std::string named(const std::string& id, std::string_view suffix) { return id + std::string(suffix); }

}  // namespace

std::string listens_at(const TunnelRecord& record, std::size_t port) {
  const auto at = port < record.listens.size() ? record.listens[port] : record.ports.at(port).container;
  return fmt::format("{}:{}", record.address, at);
}

std::string carried(const TunnelStats& stats) {
  return fmt::format("{} connections open of {}, {} to the host, {} from it", stats.open, stats.accepted,
                     bytes_text(stats.bytes_to_host), bytes_text(stats.bytes_from_host));
}

void TunnelStats::add(const TunnelStats& other) {
  sessions += other.sessions;
  reconnects += other.reconnects;
  accepted += other.accepted;
  strangers += other.strangers;
  unserved += other.unserved;
  bytes_to_host += other.bytes_to_host;
  bytes_from_host += other.bytes_from_host;
  open += other.open;
}

Error revoked(const std::string& id) {
  return {Errc::failure, fmt::format("lease {} was released by another process", id)};
}

std::string tunnel_record_to_json(const TunnelRecord& record) {
  auto ports = json::array();
  for (const auto& port : record.ports) ports.push_back(port.to_string());
  Json out{{"schema", kRecordSchema},
           {"via", record.via},
           {"id", record.id},
           {"target", record.target},
           {"label", record.label},
           {"owner",
            {{"token", record.owner.token},
             {"pid", record.owner.pid},
             {"start", record.owner.start},
             {"uid", record.owner.uid},
             {"command", record.owner.command}}},
           {"engine", record.engine},
           {"sidecar", record.sidecar},
           {"network", record.network},
           {"address", record.address},
           {"sources", record.sources},
           {"ports", std::move(ports)},
           {"alias_in", record.alias_in},
           {"created", record.created},
           {"facts",
            {{"state", record.stats.state},
             {"reason", record.stats.reason},
             {"cipher", record.stats.cipher},
             {"sessions", record.stats.sessions},
             {"reconnects", record.stats.reconnects},
             {"accepted", record.stats.accepted},
             {"strangers", record.stats.strangers},
             {"unserved", record.stats.unserved},
             {"bytes_to_host", record.stats.bytes_to_host},
             {"bytes_from_host", record.stats.bytes_from_host},
             {"open", record.stats.open}}}};
  if (record.expires) out["expires"] = *record.expires;
  if (!record.stats.dialled_by.empty()) {
    out["dialled_by"] = record.stats.dialled_by;
    out["dialled_at"] = record.stats.dialled_at;
  }
  if (!record.container.empty()) out["container"] = record.container;
  if (record.handed_off) out["handed_off"] = true;
  if (!record.bridge.empty()) out["bridge"] = record.bridge;
  for (const auto port : record.listens) out["listens"].push_back(port);
  if (record.bridge_netns != 0) out["bridge_netns"] = record.bridge_netns;
  if (!record.follows.empty()) out["follows"] = record.follows;
  // dump_in_lines() also takes bytes that are not UTF-8: a label or an engine's message may hold them.
  return out.dump_in_lines() + "\n";
}

TunnelRecord tunnel_record_from_json(std::string_view text, PathTest is_known) {
  try {
    const auto tree = json::read(text, {}, corrupt_record);
    const json::Reader record(tree);
    if (record.at("schema").number<int>() != kRecordSchema) corrupt_record("another schema");
    const auto owner = record.at("owner");
    const auto stats = record.at("facts");
    TunnelRecord out;
    out.via = record.at("via").string();
    // Refuses the paths of a later version: what they leave behind is not ours to remove.
    if (!is_known(out.via)) corrupt_record(fmt::format("this version does not know path {}", quote(out.via)));
    out.id = record.at("id").string();
    out.target = record.at("target").string();
    out.label = record.at("label").string();
    out.owner.token = owner.at("token").string();
    out.owner.pid = owner.at("pid").number<pid_t>();
    out.owner.start = owner.at("start").number<std::uint64_t>();
    out.owner.uid = owner.at("uid").number<uid_t>();
    out.owner.command = owner.at("command").string();
    out.engine = record.at("engine").string();
    out.sidecar = record.at("sidecar").string();
    out.network = record.at("network").string();
    out.address = record.at("address").string();
    out.sources = record.at("sources").strings();
    out.alias_in = record.at("alias_in").strings();
    out.created = record.at("created").number<std::int64_t>();
    out.stats.state = stats.at("state").string();
    out.stats.reason = stats.at("reason").string();
    out.stats.cipher = stats.at("cipher").string();
    out.stats.sessions = stats.at("sessions").number<unsigned>();
    out.stats.reconnects = stats.at("reconnects").number<std::uint64_t>();
    out.stats.accepted = stats.at("accepted").number<std::uint64_t>();
    out.stats.strangers = stats.at("strangers").number<std::uint64_t>();
    out.stats.unserved = stats.at("unserved").number<std::uint64_t>();
    out.stats.bytes_to_host = stats.at("bytes_to_host").number<std::uint64_t>();
    out.stats.bytes_from_host = stats.at("bytes_from_host").number<std::uint64_t>();
    out.stats.open = stats.at("open").number<std::int64_t>();
    record.at("ports").each_element(
        [&](const json::Reader& port) { out.ports.push_back(HostPort::parse(port.string())); });
    if (record.contains("container")) out.container = record.at("container").string();
    if (record.contains("handed_off")) out.handed_off = record.at("handed_off").boolean();
    if (record.contains("dialled_by")) {
      out.stats.dialled_by = record.at("dialled_by").string();
      out.stats.dialled_at = record.at("dialled_at").string();
    }
    if (record.contains("bridge")) out.bridge = record.at("bridge").string();
    if (record.contains("listens"))
      record.at("listens").each_element(
          [&](const json::Reader& port) { out.listens.push_back(port.number<std::uint16_t>()); });
    if (record.contains("bridge_netns")) out.bridge_netns = record.at("bridge_netns").number<std::uint64_t>();
    if (record.contains("follows")) out.follows = record.at("follows").string();
    if (record.contains("expires")) out.expires = record.at("expires").number<std::int64_t>();
    if (!is_token(out.id) || !is_token(out.owner.token)) corrupt_record("an id is not hexadecimal");
    return out;
  } catch (const Error& error) {
    throw Error(Errc::state_corrupt, fmt::format("not a tunnel's record: {}", error.what()));
  }
}

TunnelStore::TunnelStore(const std::string& configured, PathTest is_known)
    : configured_(configured),
      base_(user_dir(configured)),
      folder_(base_ / kRecordFolder),
      is_known_(is_known) {}

std::string TunnelStore::file_of(const std::string& id) { return named(id, kSuffix); }

PrivateFolder TunnelStore::lock(Deadline deadline) const {
  for (;;) {
    auto folder = PrivateFolder::make(base_).make_folder(kRecordFolder);
    if (!folder) continue;
    if (!folder->lock(deadline))
      throw Error(Errc::timed_out, fmt::format("another process has held {} for too long", folder_.string()),
                  "see which process: fuser -v " + shell_word(folder_.string()));
    if (folder->is_there()) return std::move(*folder);
    // Another process tidied it away while this one waited; lock again.
  }
}

std::optional<PrivateFolder> TunnelStore::find() const {
  const auto base = PrivateFolder::find(base_);
  return base ? base->find_folder(kRecordFolder) : std::nullopt;
}

void TunnelStore::save(const TunnelRecord& record, Deadline deadline) const {
  const auto folder = lock(deadline);
  if (folder.has(named(record.id, kRevoked))) throw revoked(record.id);
  folder.replace(file_of(record.id), tunnel_record_to_json(record));
}

void TunnelStore::remove(const std::string& id) const noexcept {
  try {
    const auto folder = find();
    if (!folder) return;
    folder->remove(file_of(id));
    folder->remove(named(id, kRevoked));
  } catch (const std::exception& error) {
    log::warn("the record of lease {} stays: {}", id, error.what());
  }
}

void TunnelStore::revoke(const std::string& id, Deadline deadline) const {
  const auto folder = lock(deadline);
  if (!folder.has(file_of(id))) return;
  try {
    folder.rename(file_of(id), named(id, kRevoked));
  } catch (const Error& error) {
    if (error.sys_errno() != ENOENT) throw;  // the owner has just removed it, which takes no lock
  }
}

bool TunnelStore::is_revoked(const std::string& id) const noexcept {
  try {
    const auto folder = find();
    return folder && folder->has(named(id, kRevoked));
  } catch (const std::exception& error) {
    log::debug("cannot read the record of lease {}: {}", id, error.what());
    return false;
  }
}

void TunnelStore::forget(const TunnelRecord& record) const noexcept {
  if (contains(record.id) || !is_alive(record)) remove(record.id);
}

void TunnelStore::tidy() const noexcept {
  try {
    const auto folder = find();
    if (!folder || !folder->lock(Deadline::after(std::chrono::seconds{1}))) return;
    remove_owner_files(*folder, [](const std::string&) { return false; });
    const auto unfinished = file_of({}) + std::string(kUnfinished);
    for (const auto& name : folder->names())
      if (name.ends_with(unfinished)) folder->remove(name);
    remove_dead_sockets(*folder);
    folder->remove_itself();
  } catch (const std::exception& error) {
    log::warn("tidying {}: {}", folder_.string(), error.what());
  }
}

bool TunnelStore::contains(const std::string& id) const noexcept {
  try {
    const auto folder = find();
    return folder && folder->has(file_of(id));
  } catch (const std::exception& error) {
    log::debug("cannot read the record of lease {}: {}", id, error.what());
    return true;
  }
}

std::vector<TunnelRecord> TunnelStore::load() const { return load_named(kSuffix); }

std::vector<TunnelRecord> TunnelStore::load_revoked() const { return load_named(kRevoked); }

std::vector<TunnelRecord> TunnelStore::load_named(std::string_view suffix) const {
  const auto folder = find();
  if (!folder) return {};
  std::vector<TunnelRecord> out;
  for (const auto& name : folder->names()) {
    if (!name.ends_with(suffix)) continue;
    try {
      const auto text = folder->read(name, kLargestRecord);
      if (!text) continue;  // just removed by another process
      auto record = tunnel_record_from_json(*text, is_known_);
      if (named(record.id, suffix) != name)
        throw Error(Errc::state_corrupt, fmt::format("it is the record of lease {}", record.id));
      out.push_back(std::move(record));
    } catch (const Error& bad) {
      log::warn("{} is left alone: {}", (folder_ / name).string(), bad.what());
    }
  }
  std::ranges::sort(out, [](const auto& a, const auto& b) {
    return a.created != b.created ? a.created < b.created : a.id < b.id;
  });
  return out;
}

std::vector<TunnelRecord> TunnelStore::load_all() const {
  auto out = load();
  std::ranges::move(load_revoked(), std::back_inserter(out));
  return out;
}

bool TunnelStore::is_alive(const TunnelRecord& record) const {
  return state::is_alive(folder_, record.owner);
}

}  // namespace hostnet::state
