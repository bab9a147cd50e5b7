// GenericImage: collects the request. plan.cpp and start.cpp make the decisions.
#include "hostnet/image.hpp"

#include "container/impl.hpp"
#include "container/request.hpp"
#include "container/start.hpp"
#include "hostnet/container.hpp"

namespace hostnet {
namespace {

// A colon before a slash is a registry's port.
std::string with_tag(const std::string& name) {
  const auto last = name.substr(name.rfind('/') + 1);  // all of it without a slash
  return last.find_first_of(":@") == std::string::npos ? name + ":latest" : name;
}

}  // namespace

GenericImage::GenericImage(const std::string& name, const std::string& tag)
    : request_(std::make_unique<ContainerRequest>()) {
  // A digest ("sha256:…") follows "@", a tag follows ":".
  request_->image =
      tag.empty() ? with_tag(name) : name + (tag.find(':') == std::string::npos ? ":" : "@") + tag;
}

GenericImage::GenericImage(const GenericImage& other)
    : request_(std::make_unique<ContainerRequest>(*other.request_)) {}
GenericImage::GenericImage(GenericImage&&) noexcept = default;
GenericImage& GenericImage::operator=(const GenericImage& other) { return *this = GenericImage(other); }
GenericImage& GenericImage::operator=(GenericImage&&) noexcept = default;
GenericImage::~GenericImage() = default;

GenericImage& GenericImage::with_exposed_port(ContainerPort port) & {
  request_->exposed.push_back(port);
  return *this;
}

GenericImage& GenericImage::with_mapped_port(std::uint16_t host, ContainerPort port) & {
  request_->mapped.push_back({host, port});
  return *this;
}

GenericImage& GenericImage::with_exposed_host_port(std::uint16_t port) & {
  return with_exposed_host_port(HostPort::same(port));
}

GenericImage& GenericImage::with_exposed_host_port(HostPort port) & {
  request_->host_ports.push_back(std::move(port));
  return *this;
}

GenericImage& GenericImage::with_exposed_host_ports(std::initializer_list<std::uint16_t> ports) & {
  return with_exposed_host_ports(std::span(ports.begin(), ports.size()));
}

GenericImage& GenericImage::with_exposed_host_ports(std::span<const std::uint16_t> ports) & {
  for (const auto port : ports) with_exposed_host_port(port);
  return *this;
}

GenericImage& GenericImage::with_exposed_host_ports(const std::vector<HostPort>& ports) & {
  for (const auto& port : ports) with_exposed_host_port(port);
  return *this;
}

GenericImage& GenericImage::with_entrypoint(std::vector<std::string> words) & {
  request_->entrypoint = std::move(words);
  return *this;
}

GenericImage& GenericImage::with_cmd(std::vector<std::string> words) & {
  request_->command = std::move(words);
  return *this;
}

GenericImage& GenericImage::with_env_var(const std::string& name, std::string value) & {
  request_->environment[name] = std::move(value);
  return *this;
}

GenericImage& GenericImage::with_network(std::string name) & {
  request_->network = std::move(name);
  return *this;
}

GenericImage& GenericImage::with_host(std::string name, std::string address) & {
  request_->hosts.emplace_back(std::move(name), std::move(address));
  return *this;
}

GenericImage& GenericImage::with_container_name(std::string name) & {
  request_->name = std::move(name);
  return *this;
}

GenericImage& GenericImage::with_label(const std::string& name, std::string value) & {
  request_->labels[name] = std::move(value);
  return *this;
}

GenericImage& GenericImage::with_copy_to(std::string target, std::string content, unsigned mode) & {
  request_->copies.push_back({std::move(content), std::move(target), mode});
  return *this;
}

GenericImage& GenericImage::with_copy_file_to(std::string target, std::filesystem::path source,
                                              unsigned mode) & {
  request_->copies.push_back({std::move(source), std::move(target), mode});
  return *this;
}

GenericImage& GenericImage::with_health_check(std::vector<std::string> command,
                                              std::chrono::milliseconds interval) & {
  request_->health_check = {std::move(command), interval};
  return *this;
}

GenericImage& GenericImage::with_wait_for(WaitFor condition) & {
  request_->wait_for.push_back(std::move(condition));
  return *this;
}

GenericImage& GenericImage::with_startup_timeout(std::chrono::milliseconds timeout) & {
  request_->startup_timeout = timeout;
  return *this;
}

GenericImage& GenericImage::with_exposer(Path path) & {
  request_->exposer.path = path;
  request_->exposer.paths.clear();
  return *this;
}

GenericImage& GenericImage::with_exposer(ExposerOptions options) & {
  request_->exposer = std::move(options);
  return *this;
}

GenericImage& GenericImage::with_pull_policy(PullPolicy policy, PullProgress progress) & {
  request_->pull_policy = policy;
  request_->pull_progress = std::move(progress);
  return *this;
}

GenericImage& GenericImage::with_reuse(bool reuse) & {
  request_->reuse = reuse;
  return *this;
}

Container GenericImage::start() const { return Container(container::start(*request_)); }

}  // namespace hostnet
