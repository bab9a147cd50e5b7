// Choosing a path, and making its exposer.
#include "exposer/select.hpp"

#include "core/log.hpp"
#include "core/strings.hpp"
#include "exposer/helper.hpp"
#include "exposer/native.hpp"
#include "exposer/notifier.hpp"
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
    case Path::helper:
      return "helper";
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

// The first path that works; where it turns out not to work for the target or not to be allowed, the ssh
// path, which needs neither a bridge of this host nor a privilege.
class Automatic : public Exposer {
 public:
  /// Without `first`, `why_not` is what speaks against the paths before ssh.
  Automatic(std::unique_ptr<Exposer> first, std::unique_ptr<Exposer> ssh, std::string why_not)
      : first_(std::move(first)), ssh_(std::move(ssh)), why_not_(std::move(why_not)) {}

  [[nodiscard]] Path path() const noexcept override { return first_ ? first_->path() : ssh_->path(); }
  [[nodiscard]] Probe probe() override { return first_ ? first_->probe() : ssh_->probe(); }

  std::vector<Exposure> expose_all(std::span<const ExposeRequest> requests) override {
    const auto bridge = std::ranges::find_if(requests, names_a_bridge);
    auto why = why_not_;
    if (first_) {
      try {
        return first_->expose_all(requests);
      } catch (const Error& error) {
        if (!leaves_ssh(error.code()) || bridge != requests.end()) throw;
        why = fmt::format("{}: {}", to_string(first_->path()), error.what());
      }
    }
    if (bridge != requests.end())
      throw Error(
          Errc::no_path,
          fmt::format("no usable path: {}; ssh: it serves containers and networks of an engine, not {}", why,
                      bridge->target.to_string()),
          "run it as root: sudo tc-hostnet …");
    if (!told_.exchange(true)) log::warn("{}; going by ssh instead", why);
    return ssh_->expose_all(requests);
  }

 private:
  [[nodiscard]] bool leaves_ssh(Errc code) const {
    if (code == Errc::no_path) return true;
    return first_->path() == Path::helper &&
           (code == Errc::not_authorised || code == Errc::interaction_required);
  }

  std::unique_ptr<Exposer> first_;
  std::unique_ptr<Exposer> ssh_;
  std::string why_not_;
  std::atomic<bool> told_ = false;
};

std::unique_ptr<Exposer> make(Path path, const ExposerOptions& options) {
  if (path == Path::native) return make_native(options);
  if (path == Path::helper) return make_helper(options);
  return make_ssh(options);
}

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

std::vector<Candidate> probe_paths(const std::string& engine, Path wanted) {
  std::vector<Candidate> candidates{{Path::native, probe_native()}};
  // Whoever needs no helper need not wait for the bus.
  if (wanted == Path::helper || !candidates.front().probe.usable)
    candidates.push_back({Path::helper, probe_helper()});
  candidates.push_back({Path::ssh, probe_ssh(engine)});
  return candidates;
}

}  // namespace exposer

std::unique_ptr<Exposer> make_exposer(ExposerOptions options) {
  const auto candidates = exposer::probe_paths(options.engine, options.path);
  const auto choice = exposer::choose(options.path, candidates);
  if (!choice.path) {
    const bool privilege = options.path == Path::native;
    throw Error(privilege ? Errc::not_authorised : Errc::no_path,
                fmt::format("no usable path: {}", list_of(choice.reasons)),
                options.path == Path::ssh      ? "start a container engine, or name its socket with --engine"
                : options.path == Path::helper ? "install tc-hostnetd, or run it as root: sudo tc-hostnet …"
                                               : "run it as root: sudo tc-hostnet …");
  }
  const bool ssh_usable = candidates.back().probe.usable;
  if (options.path != Path::automatic || (choice.path != Path::ssh && !ssh_usable))
    return exposer::make(*choice.path, options);
  std::vector<std::string> against;
  for (const auto& [path, probe] : candidates)
    if (path != Path::ssh)
      for (const auto& reason : probe.reasons)
        against.push_back(fmt::format("{}: {}", to_string(path), reason));
  // One call at a time, whichever of the two a lease goes by.
  if (options.on_state) {
    options.on_state = [notifier = std::make_shared<exposer::Notifier>(options.on_state)](
                           const std::string& lease, ExposureState state, const std::string& reason) {
      notifier->tell(lease, state, reason);
    };
  }
  return std::make_unique<exposer::Automatic>(
      choice.path == Path::ssh ? nullptr : exposer::make(*choice.path, options), exposer::make_ssh(options),
      list_of(against));
}

}  // namespace hostnet
