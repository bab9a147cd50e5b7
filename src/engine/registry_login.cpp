// Reads the files of docker and podman, and asks credential helpers.
#include "engine/registry_login.hpp"

#include "core/base64.hpp"
#include "core/fd.hpp"
#include "core/file.hpp"
#include "core/json.hpp"
#include "core/log.hpp"
#include "core/process.hpp"
#include "core/strings.hpp"
#include "core/trust.hpp"
#include "engine/context.hpp"
#include "engine/json_reader.hpp"
#include "engine/parse.hpp"
#include "hostnet/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <utility>

namespace hostnet::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestConfig = 1U << 20;
constexpr std::chrono::seconds kHelper{10};
constexpr const char* kInline = "DOCKER_AUTH_CONFIG";
constexpr std::string_view kDockerHub = "docker.io";
// What docker calls its own registry in its files and to helpers.
constexpr const char* kDockerHubKey = "https://index.docker.io/v1/";

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

// "https://HOST/v1/" and "HOST/team" without scheme and slash at the end.
std::string_view bare(std::string_view key) {
  for (const std::string_view scheme : {"https://", "http://"})
    if (key.starts_with(scheme)) key.remove_prefix(scheme.size());
  while (key.ends_with('/')) key.remove_suffix(1);
  return key;
}

std::string_view host_of(std::string_view key) {
  const auto host = bare(key).substr(0, bare(key).find('/'));
  const bool is_hub = host == "index.docker.io" || host == "registry-1.docker.io";
  return is_hub ? kDockerHub : host;
}

// Whether the image's name begins with its registry.
bool names_registry(std::string_view reference) {
  const auto first = reference.substr(0, reference.find('/'));
  return first.size() < reference.size() &&
         (first.find_first_of(".:") != std::string_view::npos || first == "localhost");
}

// How well a key fits: 0 not at all, 1 by its host, more by its part of the image's path.
std::size_t fit(std::string_view key, const std::string& reference, const std::string& registry) {
  if (host_of(key) != registry) return 0;
  const auto path = bare(key);
  if (path.find('/') == std::string_view::npos || path.ends_with("/v1") || path.ends_with("/v2")) return 1;
  const bool is_beginning = reference.starts_with(path) && reference.size() > path.size() &&
                            std::string_view("/:@").find(reference[path.size()]) != std::string_view::npos;
  return is_beginning ? path.size() : 0;
}

std::optional<RegistryLogin> login_of(const json::Reader& entry) {
  RegistryLogin out{.user = entry.string_or_empty("username"),
                    .secret = entry.string_or_empty("password"),
                    .identity_token = entry.string_or_empty("identitytoken")};
  if (const auto pair = from_base64(entry.string_or_empty("auth")); pair && !pair->empty()) {
    const auto colon = std::min(pair->find(':'), pair->size());
    out.user = pair->substr(0, colon);
    out.secret = pair->substr(std::min(colon + 1, pair->size()));
    // Docker has padded the text with zeros.
    while (out.secret.ends_with('\0')) out.secret.pop_back();
  }
  if (out.user.empty() && out.identity_token.empty()) return std::nullopt;
  return out;
}

// A name that leads out of $PATH, or is an option, is none.
bool is_helper_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

std::optional<RegistryLogin> ask_helper(const std::string& name, const std::string& registry,
                                        Deadline deadline) {
  const auto program = "docker-credential-" + name;
  const std::string asked = registry == kDockerHub ? kDockerHubKey : registry;
  const auto warn = [&](const std::string& why) {
    log::warn("{} gives no login at {}: {}", program, registry, why);
    return std::nullopt;
  };
  try {
    const auto limit = Deadline::after(std::min<std::chrono::milliseconds>(deadline.remaining(), kHelper));
    const auto done = run_process({program, "get"}, asked, limit);
    if (done.exit_code != 0) {
      // By the protocol the reason is on standard output; it is the helper's own and holds no secret.
      const auto why = one_line(done.output.empty() ? done.errors : done.output, 200);
      if (why.find("credentials not found") != std::string::npos) return std::nullopt;
      return warn(why.empty() ? fmt::format("exit status {}", done.exit_code) : why);
    }
    const auto tree = parse_json(done.output);
    const json::Reader answer(tree);
    auto user = answer.string_or_empty("Username");
    auto secret = answer.string_or_empty("Secret");
    if (user == "<token>")
      return RegistryLogin{.user = {}, .secret = {}, .identity_token = std::move(secret)};
    if (user.empty()) return std::nullopt;
    return RegistryLogin{.user = std::move(user), .secret = std::move(secret), .identity_token = {}};
  } catch (const Error& error) {
    // A parser's text could quote the answer.
    return warn(error.code() == Errc::engine_error ? "its answer makes no sense" : error.what());
  }
}

std::optional<RegistryLogin> login_by(const std::string& text, const std::string& source,
                                      std::string_view reference, Deadline deadline) {
  try {
    const auto tree = parse_json(text);
    const auto found = login_in(json::Reader(tree), reference);
    if (is_helper_name(found.helper))
      if (auto login = ask_helper(found.helper, registry_of(reference), deadline)) return login;
    return found.login;
  } catch (const Error&) {
    // Without the parser's text, which could quote a secret.
    log::warn("{} is not understood, so it gives no login at {}", source, registry_of(reference));
    return std::nullopt;
  }
}

std::optional<std::string> read_login_file(const fs::path& path) {
  // O_NONBLOCK: a FIFO would block the reader.
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat facts {};
  if (!file || ::fstat(file.get(), &facts) != 0 || !S_ISREG(facts.st_mode)) return std::nullopt;
  if (const auto why = distrust(facts); !why.empty()) {
    log::warn("{} gives no login at a registry: {}", quote(path.string()), why);
    return std::nullopt;
  }
  try {
    return read_all(file.get(), kLargestConfig);
  } catch (const Error& error) {
    log::warn("{} gives no login at a registry: {}", quote(path.string()), error.what());
    return std::nullopt;
  }
}

std::vector<fs::path> login_files() {
  std::vector<fs::path> out;
  const auto add = [&](const fs::path& folder, const char* rest) {
    if (folder.is_absolute()) out.push_back(folder / rest);
  };
  add(docker_folder(), "config.json");
  if (const fs::path named = environment("REGISTRY_AUTH_FILE"); !named.empty()) out.push_back(named);
  add(environment("XDG_RUNTIME_DIR"), "containers/auth.json");
  if (const fs::path config = environment("XDG_CONFIG_HOME"); config.is_absolute())
    add(config, "containers/auth.json");
  else
    add(environment("HOME"), ".config/containers/auth.json");
  return out;
}

}  // namespace

std::string registry_of(std::string_view reference) {
  if (!names_registry(reference)) return std::string(kDockerHub);
  return std::string(host_of(reference));
}

LoginSource login_in(const json::Reader& config, std::string_view reference) {
  const auto registry = registry_of(reference);
  LoginSource out{.login = std::nullopt, .helper = config.string_or_empty("credsStore")};
  for (const auto& [host, helper] : config.strings_or_empty("credHelpers"))
    if (host_of(host) == registry) out.helper = helper;
  const auto auths = config.maybe("auths");
  if (!auths) return out;
  const auto whole =
      names_registry(reference) ? std::string(reference) : fmt::format("{}/{}", kDockerHub, reference);
  std::size_t best = 0;
  auths->each_member([&](const std::string& key, const json::Reader& entry) {
    const auto good = fit(key, whole, registry);
    if (good <= best) return;
    if (auto login = login_of(entry)) {  // beside a helper, docker leaves empty entries
      out.login = std::move(login);
      best = good;
    }
  });
  return out;
}

std::string registry_header(const RegistryLogin& login, std::string_view registry) {
  const auto server = registry == kDockerHub ? std::string_view(kDockerHubKey) : registry;
  json::Value object =
      login.identity_token.empty()
          ? json::Value{{"username", login.user}, {"password", login.secret}, {"serveraddress", server}}
          : json::Value{{"identitytoken", login.identity_token}, {"serveraddress", server}};
  return to_base64url(object.dump());
}

std::string registry_auth(std::string_view reference, Deadline deadline) {
  const auto registry = registry_of(reference);
  const auto tell = [&](const RegistryLogin& login, const std::string& source) {
    log::debug("the login at {} is that of {}", registry, source);
    return registry_header(login, registry);
  };
  if (const auto text = environment(kInline); !text.empty())
    if (const auto login = login_by(text, kInline, reference, deadline)) return tell(*login, kInline);
  for (const auto& path : login_files())
    if (const auto text = read_login_file(path))
      if (const auto login = login_by(*text, quote(path.string()), reference, deadline))
        return tell(*login, quote(path.string()));
  return {};
}

}  // namespace hostnet::engine
