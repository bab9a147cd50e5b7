// Choosing a path, and making its exposer.
#include "exposer/select.hpp"

#include "core/log.hpp"
#include "core/strings.hpp"
#include "exposer/native.hpp"
#include "exposer/ssh.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

namespace hostnet {

const char* to_string(Path path) noexcept {
  switch (path) {
    case Path::automatic:
      return "auto";
    case Path::native:
      return "native";
    case Path::ssh:
      return "ssh";
  }
  return "auto";
}

namespace exposer {
namespace {

// Whether the ssh path could serve it at all.
bool names_a_bridge(const ExposeRequest& request) {
  return request.target.kind() == Target::Kind::bridge || request.target.kind() == Target::Kind::netns;
}

// Native where it works; where it does not, or the target turns out not to be on a bridge of this host, ssh.
class Automatic : public Exposer {
 public:
  /// Without `native`, `why_not` is the reason against it.
  Automatic(std::unique_ptr<Exposer> native, std::unique_ptr<Exposer> ssh, std::string why_not)
      : native_(std::move(native)), ssh_(std::move(ssh)), why_not_(std::move(why_not)) {}

  [[nodiscard]] Path path() const noexcept override { return native_ ? native_->path() : ssh_->path(); }
  [[nodiscard]] Probe probe() override { return native_ ? native_->probe() : ssh_->probe(); }

  std::vector<Exposure> expose_all(std::span<const ExposeRequest> requests) override {
    const auto bridge = std::ranges::find_if(requests, names_a_bridge);
    auto why = why_not_;
    if (native_) {
      try {
        return native_->expose_all(requests);
      } catch (const Error& error) {
        if (error.code() != Errc::no_path || bridge != requests.end()) throw;
        why = error.what();
      }
    }
    if (bridge != requests.end())
      throw Error(
          Errc::no_path,
          fmt::format(
              "no usable path: native: {}; ssh: it serves containers and networks of an engine, not {}", why,
              bridge->target.to_string()),
          "run it as root: sudo tc-hostnet …");
    if (!told_.exchange(true)) log::warn("native: {}; going by ssh instead", why);
    return ssh_->expose_all(requests);
  }

 private:
  std::unique_ptr<Exposer> native_;
  std::unique_ptr<Exposer> ssh_;
  std::string why_not_;
  std::atomic<bool> told_ = false;
};

}  // namespace

Choice choose(Path wanted, const std::vector<Candidate>& candidates) {
  Choice choice;
  for (const auto& [path, probe] : candidates) {
    if (wanted != Path::automatic && path != wanted) continue;
    for (const auto& reason : probe.reasons)
      choice.reasons.push_back(fmt::format("{}: {}", to_string(path), reason));
    if (!probe.usable) continue;
    choice.path = path;
    choice.reasons.push_back(
        fmt::format("{}: {}", to_string(path),
                    wanted == Path::automatic ? "the first that is usable here" : "as asked for"));
    break;
  }
  return choice;
}

std::vector<Candidate> probe_paths(const std::string& engine) {
  return {{Path::native, probe_native()}, {Path::ssh, probe_ssh(engine)}};
}

}  // namespace exposer

std::unique_ptr<Exposer> make_exposer(ExposerOptions options) {
  const auto candidates = exposer::probe_paths(options.engine);
  const auto choice = exposer::choose(options.path, candidates);
  if (!choice.path) {
    const bool privilege = options.path == Path::native;
    throw Error(privilege ? Errc::not_authorised : Errc::no_path,
                fmt::format("no usable path: {}", list_of(choice.reasons)),
                options.path == Path::ssh ? "start a container engine, or name its socket with --engine"
                                          : "run it as root: sudo tc-hostnet …");
  }
  if (options.path == Path::ssh) return exposer::make_ssh(options);
  if (options.path == Path::native) return exposer::make_native(options);
  const auto& native = candidates.front().probe;
  const auto& ssh = candidates.back().probe;
  if (!ssh.usable) return exposer::make_native(options);
  return std::make_unique<exposer::Automatic>(native.usable ? exposer::make_native(options) : nullptr,
                                              exposer::make_ssh(options), list_of(native.reasons));
}

}  // namespace hostnet
