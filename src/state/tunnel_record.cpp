// Files of records.
#include "state/tunnel_record.hpp"

#include "core/file.hpp"
#include "core/json_reader.hpp"
#include "core/log.hpp"
#include "hostnet/error.hpp"
#include "state/journal.hpp"
#include "state/owner.hpp"
#include "state/private_folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace hostnet::state {
namespace {

using Json = json::Value;
constexpr int kSchema = 1;

std::filesystem::path base_folder(const std::string& configured) {
  if (!configured.empty() || ::geteuid() == 0 || std::getenv("TC_HOSTNET_RUNTIME_DIR") != nullptr)
    return runtime_dir(configured);
  const char* const session = std::getenv("XDG_RUNTIME_DIR");
  if (session != nullptr && *session == '/') return std::filesystem::path(session) / "tc-hostnet";
  return fmt::format("/tmp/tc-hostnet-{}", ::geteuid());
}

[[noreturn]] void corrupt(const std::string& what) { throw Error(Errc::state_corrupt, what); }

}  // namespace

std::string tunnel_record_to_json(const TunnelRecord& record) {
  auto ports = json::array();
  for (const auto& port : record.ports) ports.push_back(port.to_string());
  Json out{{"schema", kSchema},
           {"via", to_string(record.via)},
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
            {{"state", record.facts.state},
             {"reason", record.facts.reason},
             {"cipher", record.facts.cipher},
             {"sessions", record.facts.sessions},
             {"reconnects", record.facts.reconnects},
             {"accepted", record.facts.accepted},
             {"strangers", record.facts.strangers},
             {"unserved", record.facts.unserved},
             {"bytes_to_host", record.facts.bytes_to_host},
             {"bytes_from_host", record.facts.bytes_from_host},
             {"open", record.facts.open}}}};
  if (record.expires) out["expires"] = *record.expires;
  // A label or an engine's words may hold bytes that are not UTF-8.
  return out.dump_in_lines() + "\n";
}

TunnelRecord tunnel_record_from_json(std::string_view text) {
  try {
    const auto tree = json::read(text, {}, corrupt);
    const json::Reader record(tree);
    if (record.at("schema").number<int>() != kSchema) corrupt("another schema");
    const auto owner = record.at("owner");
    const auto facts = record.at("facts");
    TunnelRecord out;
    out.via = record.at("via").string() == to_string(Path::helper) ? Path::helper : Path::ssh;
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
    out.facts.state = facts.at("state").string();
    out.facts.reason = facts.at("reason").string();
    out.facts.cipher = facts.at("cipher").string();
    out.facts.sessions = facts.at("sessions").number<unsigned>();
    out.facts.reconnects = facts.at("reconnects").number<std::uint64_t>();
    out.facts.accepted = facts.at("accepted").number<std::uint64_t>();
    out.facts.strangers = facts.at("strangers").number<std::uint64_t>();
    out.facts.unserved = facts.at("unserved").number<std::uint64_t>();
    out.facts.bytes_to_host = facts.at("bytes_to_host").number<std::uint64_t>();
    out.facts.bytes_from_host = facts.at("bytes_from_host").number<std::uint64_t>();
    out.facts.open = facts.at("open").number<std::int64_t>();
    record.at("ports").each_element(
        [&](const json::Reader& port) { out.ports.push_back(HostPort::parse(port.string())); });
    if (record.contains("expires")) out.expires = record.at("expires").number<std::int64_t>();
    return out;
  } catch (const Error& error) {
    throw Error(Errc::state_corrupt, fmt::format("not a tunnel's record: {}", error.what()));
  }
}

TunnelStore::TunnelStore(const std::string& configured) : folder_(base_folder(configured) / "ssh") {}

Fd TunnelStore::lock() const {
  for (;;) {
    make_private_folder(folder_.parent_path());
    if (!make_private_folder(folder_)) continue;
    Fd folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!folder && errno == ENOENT) continue;
    if (!folder) throw Error::from_errno(fmt::format("open {}", folder_.string()), errno);
    lock_file(folder.get(), Deadline::never());
    struct stat held {};
    struct stat there {};
    if (::fstat(folder.get(), &held) == 0 && ::stat(folder_.c_str(), &there) == 0 &&
        held.st_ino == there.st_ino)
      return folder;
    // It was tidied away while we waited.
  }
}

void TunnelStore::save(const TunnelRecord& record) const {
  const auto locked = lock();
  replace_file(folder_ / (record.id + ".json"), tunnel_record_to_json(record), 0600);
}

void TunnelStore::remove(const std::string& id) const noexcept {
  ::unlink((folder_ / (id + ".json")).c_str());
}

void TunnelStore::tidy() const noexcept {
  const Fd locked(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!locked || ::flock(locked.get(), LOCK_EX) != 0) return;
  const auto owners = folder_ / "owners";
  std::error_code error;
  for (std::filesystem::directory_iterator entry(owners, error), end; !error && entry != end;
       entry.increment(error)) {
    const Fd file(::open(entry->path().c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (file && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(entry->path().c_str());
  }
  for (std::filesystem::directory_iterator entry(folder_, error), end; !error && entry != end;
       entry.increment(error))
    if (entry->path().extension() == ".new") ::unlink(entry->path().c_str());
  ::rmdir(owners.c_str());
  ::rmdir(folder_.c_str());
}

bool TunnelStore::contains(const std::string& id) const noexcept {
  return ::access((folder_ / (id + ".json")).c_str(), F_OK) == 0;
}

std::vector<TunnelRecord> TunnelStore::load() const {
  std::vector<TunnelRecord> out;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder_, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() != ".json") continue;
    const auto text = try_read_file(entry->path());
    if (!text) continue;  // gone in this moment
    try {
      out.push_back(tunnel_record_from_json(*text));
    } catch (const Error& bad) {
      log::warn("{}: {}", entry->path().string(), bad.what());
    }
  }
  if (error == std::errc::permission_denied)
    throw Error::from_errno(fmt::format("look into {}", folder_.string()), error.value());
  std::ranges::sort(out, [](const auto& a, const auto& b) {
    return a.created != b.created ? a.created < b.created : a.id < b.id;
  });
  return out;
}

bool TunnelStore::is_alive(const TunnelRecord& record) const {
  return state::is_alive(folder_, record.owner);
}

}  // namespace hostnet::state
