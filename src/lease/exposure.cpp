// The public handle of a lease, and the convenience overloads of Exposer.
#include "hostnet/exposure.hpp"

#include "core/log.hpp"
#include "hostnet/error.hpp"
#include "hostnet/exposer.hpp"
#include "lease/exposure_impl.hpp"
#include "lease/path_name.hpp"

#include <fmt/format.h>

#include <utility>

namespace hostnet {
namespace {

bool is_foreign(const Exposure::Impl& impl) noexcept { return impl.made_in != fork_generation(); }

void release_quietly(std::shared_ptr<Exposure::Impl> impl) noexcept {
  if (!impl) return;
  if (is_foreign(*impl)) return leave_to_parent(std::move(impl));
  try {
    impl->release();
  } catch (const std::exception& error) {
    log::error("lease {}: {}", impl->id, error.what());
  }
}

}  // namespace

const char* to_string(ExposureState state) noexcept {
  switch (state) {
    case ExposureState::active:
      return "active";
    case ExposureState::released:
      return "released";
    case ExposureState::failed:
      return "failed";
  }
  return "failed";
}

Exposure& Exposure::operator=(Exposure&& other) noexcept {
  if (this != &other) {
    release_quietly(std::move(impl_));
    impl_ = std::move(other.impl_);
  }
  return *this;
}

Exposure::~Exposure() { release_quietly(std::move(impl_)); }

void Exposure::release() {
  if (!impl_) return;
  if (is_foreign(*impl_))
    throw Error(Errc::failure,
                fmt::format("lease {} belongs to the process that this one was forked from", impl_->id),
                "release it there");
  impl_->release();
}

std::string Exposure::id() const { return impl_ ? impl_->id : std::string(); }
ExposureState Exposure::state() const { return impl_ ? impl_->state() : ExposureState::released; }
std::string Exposure::reason() const { return impl_ ? impl_->reason() : std::string(); }
std::string Exposure::unpinned() const { return impl_ ? impl_->unpinned() : std::string(); }
std::vector<HostPort> Exposure::ports() const { return impl_ ? impl_->ports : std::vector<HostPort>(); }
std::string Exposure::gateway() const { return impl_ ? impl_->gateway : std::string(); }
std::string Exposure::interface() const { return impl_ ? impl_->interface : std::string(); }
Path Exposure::path() const { return impl_ ? path_named(impl_->via) : Path::automatic; }

Exposure Exposer::expose(const ExposeRequest& request) {
  return std::move(expose_all(std::span(&request, 1)).front());
}

Exposure Exposer::expose(Target target, std::vector<HostPort> ports) {
  return expose(ExposeRequest{.target = std::move(target), .ports = std::move(ports)});
}

}  // namespace hostnet
