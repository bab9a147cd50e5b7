// The names that exist now: of the engine, the kernel and the leases. What does not answer in time is left
// out.
#include "cli/commands.hpp"
#include "cli/completion.hpp"
#include "cli/layout.hpp"
#include "cli/output.hpp"
#include "core/join.hpp"
#include "engine/client.hpp"
#include "engine/containers.hpp"
#include "lease/journal.hpp"
#include "lease/runtime_dir.hpp"
#include "lease/tunnel_record.hpp"
#include "netlink/link.hpp"
#include "path/native/lease_store.hpp"
#include "target/project.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace hostnet::cli {
namespace {

// A person who waits for an answer to a key notices more.
constexpr std::chrono::milliseconds kPatience{80};

// The value of a global option on this command line, else of the environment variable. The configuration is
// not read.
std::string global_value(const std::vector<std::string>& words, const std::string& option,
                         const char* environment) {
  for (std::size_t i = 0; i + 1 < words.size() && words[i] != "--"; ++i) {
    if (words[i] == option) return words[i + 1];
    if (words[i].starts_with(option + "=")) return words[i].substr(option.size() + 1);
  }
  const char* const value = std::getenv(environment);
  return value != nullptr ? value : "";
}

class Engine {
 public:
  // A login at another machine may take seconds, or ask for a password.
  explicit Engine(const std::string& address) {
    auto found = engine::Address::find(address);
    if (!found.ssh) client_.emplace(std::move(found));
  }

  std::vector<Candidate> networks() {
    std::vector<Candidate> out;
    if (!client_) return out;
    for (const auto& network : client_->networks(deadline_))
      if (network.driver != "host" && network.driver != "null") out.push_back({network.name, network.driver});
    return out;
  }

  std::vector<Candidate> containers() {
    std::vector<Candidate> out;
    for (const auto& container : all())
      out.push_back({container.name, container.image + ", " + container.state});
    return out;
  }

  std::vector<Candidate> projects() {
    std::map<std::string, std::size_t> sizes;
    for (const auto& container : all())
      if (const auto project = exposer::project_of(container.labels)) ++sizes[*project];
    std::vector<Candidate> out;
    for (const auto& [name, size] : sizes)
      out.push_back({name, fmt::format("{} container{}", size, size == 1 ? "" : "s")});
    return out;
  }

 private:
  std::vector<engine::ContainerSummary> all() {
    return client_ ? engine::Containers(*client_).list({}, deadline_)
                   : std::vector<engine::ContainerSummary>();
  }

  Deadline deadline_ = Deadline::after(kPatience);
  std::optional<engine::Client> client_;
};

std::vector<Candidate> bridges() {
  std::vector<Candidate> out;
  for (const auto& link : netlink::Rtnl().links())
    if (link.kind == "bridge") out.push_back({link.name, link.up ? "up" : "down"});
  return out;
}

Candidate lease_candidate(const std::string& id, const std::string& target,
                          const std::vector<HostPort>& ports) {
  std::vector<std::string> texts;
  for (const auto& port : ports) texts.push_back(port.to_string());
  return {id, fmt::format("{} to {}", join(texts, ","), target)};
}

// Without taking a lock and without asking the helper, which the question would start: a lease of the helper
// that this user made has a record. The journal is root's to read.
std::vector<Candidate> leases(const std::string& runtime_dir) {
  std::vector<Candidate> out;
  for (const auto& record : state::TunnelStore(runtime_dir).load())
    out.push_back(lease_candidate(record.id, record.target, record.ports));
  try {
    exposer::LeaseStore store(state::runtime_dir(runtime_dir));
    if (state::has_journal_folder(store.folder()))
      for (const auto& lease : store.peek().leases)
        out.push_back(lease_candidate(lease.id, lease.target, lease.ports));
  } catch (const std::exception&) {
    // Not ours to read.
  }
  return out;
}

std::vector<Candidate> names_now(Names names, const std::vector<std::string>& words) {
  const auto engine = [&] { return Engine(global_value(words, "--engine", "TC_HOSTNET_ENGINE")); };
  switch (names) {
    case Names::networks:
      return engine().networks();
    case Names::containers:
      return engine().containers();
    case Names::projects:
      return engine().projects();
    case Names::bridges:
      return bridges();
    case Names::leases:
      return leases(global_value(words, "--runtime-dir", "TC_HOSTNET_RUNTIME_DIR"));
    case Names::none:
    case Names::files:
    case Names::commands:
      break;
  }
  return {};
}

void print_candidate(const std::string& word, const std::string& meaning) {
  print(meaning.empty() ? Text(word) : Text(word) + tab() + meaning);
}

}  // namespace

void print_completion(const std::vector<std::string>& words) {
  if (words.empty()) return;
  const auto found = complete(make_grammar(), words);
  for (const auto& candidate : found.words) print_candidate(candidate.word, candidate.meaning);
  if (found.names == Names::files) print(":files");
  if (found.names == Names::commands) print(":commands");
  try {
    for (const auto& candidate : names_now(found.names, words))
      if ((found.prefix + candidate.word).starts_with(words.back()))
        print_candidate(found.prefix + candidate.word, candidate.meaning);
  } catch (const std::exception&) {
    // There is no engine, or it is slow: there is nothing to offer.
  }
}

}  // namespace hostnet::cli
