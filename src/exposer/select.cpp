// Choosing a path, and making its exposer.
#include "exposer/select.hpp"

#include "core/log.hpp"
#include "core/strings.hpp"
#include "exposer/native.hpp"
#include "exposer/ssh.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

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

// Native where it works; where the target turns out not to be on a bridge of this host, ssh.
class Automatic : public Exposer {
 public:
  Automatic(std::unique_ptr<Exposer> native, std::unique_ptr<Exposer> ssh)
      : native_(std::move(native)), ssh_(std::move(ssh)) {}

  [[nodiscard]] Path path() const noexcept override { return native_->path(); }
  [[nodiscard]] Probe probe() override { return native_->probe(); }

  std::vector<Exposure> expose_all(std::span<const ExposeRequest> requests) override {
    try {
      return native_->expose_all(requests);
    } catch (const Error& error) {
      if (error.code() != Errc::no_path) throw;
      if (!told_.exchange(true)) log::warn("native: {}; going by ssh instead", error.what());
    }
    return ssh_->expose_all(requests);
  }

 private:
  std::unique_ptr<Exposer> native_;
  std::unique_ptr<Exposer> ssh_;
  std::atomic<bool> told_ = false;
};

bool is_usable(const std::vector<Candidate>& candidates, Path path) {
  for (const auto& candidate : candidates)
    if (candidate.path == path) return candidate.probe.usable;
  return false;
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
  if (choice.path == Path::ssh) {
    if (options.path == Path::automatic) log::warn("{}", fmt::join(choice.reasons, "; "));
    return exposer::make_ssh(options);
  }
  auto native = exposer::make_native(options);
  if (options.path != Path::automatic || !exposer::is_usable(candidates, Path::ssh)) return native;
  return std::make_unique<exposer::Automatic>(std::move(native), exposer::make_ssh(options));
}

}  // namespace hostnet
