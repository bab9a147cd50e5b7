// One id for the calling thread.
#include "lease/lease_id.hpp"

#include "core/random.hpp"

#include <utility>

namespace hostnet::exposer {
namespace {

thread_local std::string continued_id;

}  // namespace

ContinuedLease::ContinuedLease(std::string id) { continued_id = std::move(id); }

ContinuedLease::~ContinuedLease() { continued_id.clear(); }

std::string new_lease_id() { return continued_id.empty() ? random_hex(8) : std::exchange(continued_id, {}); }

}  // namespace hostnet::exposer
