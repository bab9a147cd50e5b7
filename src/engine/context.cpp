// Reads config.json and meta.json.
#include "engine/context.hpp"

#include "core/file.hpp"
#include "core/log.hpp"
#include "core/nearest.hpp"
#include "core/strings.hpp"
#include "engine/json_reader.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <string>
#include <system_error>
#include <vector>

namespace hostnet::engine {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSeeContexts = "list the contexts: docker context ls";

std::optional<std::string> variable(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr && *value != '\0' ? std::optional<std::string>(value) : std::nullopt;
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

std::string named(const ContextChoice& choice) {
  return fmt::format("context {} ({})", quote(choice.name), choice.by);
}

// Finds the folder in contexts/meta whose meta.json has the name, and parses that file. Adds the names in the
// files before it to `others`. Skips unreadable files: they may belong to other contexts.
struct Found {
  fs::path digest;
  json::Document meta;
};
std::optional<Found> look_for(const fs::path& meta, const std::string& name,
                              std::vector<std::string>& others) {
  std::error_code error;
  for (fs::directory_iterator entry(meta, error), end; !error && entry != end; entry.increment(error)) {
    try {
      const auto text = try_read_file(entry->path() / "meta.json");
      if (!text) continue;
      auto tree = parse_json(*text);
      auto here = JsonReader(tree).string_or_empty("Name");
      if (here == name) return Found{entry->path().filename(), std::move(tree)};
      if (!here.empty()) others.push_back(std::move(here));
    } catch (const Error& unreadable) {
      log::debug("{}: {}", entry->path().string(), unreadable.what());
    }
  }
  return std::nullopt;
}

}  // namespace

fs::path docker_folder() {
  if (const auto config = variable("DOCKER_CONFIG")) return fs::absolute(*config);
  if (const auto home = variable("HOME")) return fs::absolute(*home) / ".docker";
  return {};
}

std::optional<Tls> certificates_in(const fs::path& folder) {
  const auto path_of = [&](const char* name) {
    const auto path = folder / name;
    return is_file(path) ? path.string() : std::string();
  };
  Tls tls;
  tls.ca = path_of("ca.pem");
  tls.cert = path_of("cert.pem");
  tls.key = path_of("key.pem");
  if (tls.cert.empty() != tls.key.empty())
    throw Error(Errc::engine_unavailable,
                fmt::format("{} has {} without {}", folder.string(), tls.key.empty() ? "cert.pem" : "key.pem",
                            tls.key.empty() ? "key.pem" : "cert.pem"),
                "add the missing file: a certificate needs its key");
  if (tls.ca.empty() && tls.cert.empty()) return std::nullopt;
  return tls;
}

std::optional<ContextChoice> chosen_context() {
  ContextChoice choice;
  if (const auto name = variable("DOCKER_CONTEXT")) {
    choice = {*name, "DOCKER_CONTEXT"};
  } else {
    const auto folder = docker_folder();
    if (folder.empty()) return std::nullopt;
    const auto config = folder / "config.json";
    try {
      const auto text = try_read_file(config);
      if (!text) return std::nullopt;
      const auto tree = parse_json(*text);
      choice = {JsonReader(tree).string_or_empty("currentContext"), config.string()};
    } catch (const Error& error) {
      log::warn("{} cannot be read, so it selects no context: {}", config.string(), error.what());
    }
  }
  if (choice.name.empty() || choice.name == "default") return std::nullopt;
  return choice;
}

Context read_context(const ContextChoice& choice) {
  const auto contexts = docker_folder() / "contexts";
  std::vector<std::string> others;
  const auto found = look_for(contexts / "meta", choice.name, others);
  if (!found) {
    const auto meant = nearest(choice.name, others);
    throw Error(Errc::not_found,
                fmt::format("{} does not exist: no context in {} has that name{}{}", named(choice),
                            (contexts / "meta").string(), others.empty() ? "" : "; there are ",
                            nearest_first(choice.name, others, kNamesShown)),
                meant ? fmt::format("did you mean {}?", quote(*meant)) : kSeeContexts);
  }
  Context context;
  bool skip_verify = false;
  try {
    const auto endpoints = JsonReader(found->meta).maybe("Endpoints");
    const auto docker = endpoints ? endpoints->maybe("docker") : std::nullopt;
    if (docker) {
      context.host = docker->string_or_empty("Host");
      const auto skip = docker->maybe("SkipTLSVerify");
      skip_verify = skip && skip->boolean();
    }
  } catch (const Error& error) {
    throw Error(Errc::engine_unavailable, fmt::format("{} cannot be read: {}", named(choice), error.what()),
                kSeeContexts);
  }
  if (context.host.empty())
    throw Error(Errc::engine_unavailable, fmt::format("{} names no Docker engine", named(choice)),
                kSeeContexts);
  context.tls = certificates_in(contexts / "tls" / found->digest / "docker");
  if (skip_verify) {
    if (!context.tls) context.tls.emplace();
    context.tls->verify = false;
  }
  return context;
}

}  // namespace hostnet::engine
