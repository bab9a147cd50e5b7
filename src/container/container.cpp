// The public handle. Each call opens its own connection to the engine and reads the current state.
#include "hostnet/container.hpp"

#include "container/impl.hpp"
#include "container/ports.hpp"
#include "core/forked.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

namespace hostnet {
namespace {

constexpr std::chrono::seconds kQuery{30};

// Thrown when the consumer returns false: ends the request. follow_logs() catches it.
struct Enough {};

Deadline deadline_of(std::optional<std::chrono::milliseconds> timeout) {
  return timeout ? Deadline::after(*timeout) : Deadline::never();
}

template <class Impl>
void drop(std::unique_ptr<Impl> impl) noexcept {
  if (impl && impl->made_in != fork_generation()) leave_to_parent(std::shared_ptr<Impl>(std::move(impl)));
}

OutputStream stream_of(engine::Stream stream) {
  return stream == engine::Stream::out ? OutputStream::out : OutputStream::err;
}

}  // namespace

Container::Container(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Container::Container(Container&&) noexcept = default;
Container& Container::operator=(Container&& other) noexcept {
  if (this != &other) {
    drop(std::move(impl_));
    impl_ = std::move(other.impl_);
  }
  return *this;
}
Container::~Container() { drop(std::move(impl_)); }

std::string Container::id() const { return impl_->id; }
std::string Container::name() const { return impl_->name; }

std::string Container::get_host() const { return container::host_of(impl_->engine); }

std::uint16_t Container::get_host_port_ipv4(ContainerPort port) const {
  engine::Client client(impl_->engine);
  return container::host_port(client.container(impl_->id, Deadline::after(kQuery)), port,
                              container::Family::ipv4);
}

std::uint16_t Container::get_host_port_ipv6(ContainerPort port) const {
  engine::Client client(impl_->engine);
  return container::host_port(client.container(impl_->id, Deadline::after(kQuery)), port,
                              container::Family::ipv6);
}

std::string Container::get_bridge_ip_address() const {
  engine::Client client(impl_->engine);
  for (const auto& endpoint : client.container(impl_->id, Deadline::after(kQuery)).endpoints)
    if (endpoint.address) return endpoint.address->to_string();
  throw Error(Errc::not_found, fmt::format("container {} has no IPv4 address on any network", impl_->name));
}

ExecResult Container::exec(const ExecCommand& command) const {
  engine::ExecSpec spec;
  spec.command = command.words;
  spec.user = command.user;
  for (const auto& [name, value] : command.environment) spec.environment.push_back(name + "=" + value);
  spec.working_dir = command.working_dir;
  spec.input = command.input;
  engine::Client client(impl_->engine);
  auto result = engine::Containers(client).exec(impl_->id, spec, Deadline::after(command.timeout));
  return {result.exit_code, std::move(result.out), std::move(result.err)};
}

Logs Container::logs() const {
  engine::Client client(impl_->engine);
  auto output = engine::Containers(client).output(impl_->id, Deadline::after(kQuery));
  return {std::move(output.out), std::move(output.err)};
}

void Container::follow_logs(const LogConsumer& consumer,
                            std::optional<std::chrono::milliseconds> timeout) const {
  engine::Client client(impl_->engine);
  const auto id = impl_->id;  // the consumer may destroy this container
  try {
    engine::Containers(client).follow_output(
        id,
        [&](engine::Stream stream, std::string_view piece) {
          if (!consumer(stream_of(stream), piece)) throw Enough{};
        },
        deadline_of(timeout));
  } catch (const Enough&) {
  }
}

void Container::stop(std::chrono::seconds grace) { impl_->stop(grace); }
void Container::remove(std::chrono::seconds grace) { impl_->tear_down(grace); }

int Container::wait(std::optional<std::chrono::milliseconds> timeout) const {
  engine::Client client(impl_->engine);
  return engine::Containers(client).wait(impl_->id, deadline_of(timeout));
}

std::string Container::inspect() const {
  engine::Client client(impl_->engine);
  return client.container_json(impl_->id, Deadline::after(kQuery));
}

void Container::expose_host_port(std::uint16_t port) { impl_->expose(HostPort::same(port)); }
void Container::expose_host_port(const HostPort& port) { impl_->expose(port); }
std::vector<HostPort> Container::exposed_host_ports() const { return impl_->host_ports(); }
Path Container::exposed_via() const { return impl_->via(); }

}  // namespace hostnet
