// Reads and indexes the counters.
#include "daemon/counters.hpp"

#include "core/log.hpp"
#include "daemon/bus_error.hpp"
#include "firewall/backend.hpp"

#include <algorithm>

namespace hostnet::daemon {
namespace {

constexpr std::chrono::seconds kPeriod{1};
constexpr int kReadingShare = 20;  // reading takes at most one part in so many of the time

}  // namespace

Counters::Clock::time_point Counters::tick(Clock::time_point now) {
  if (reading_) return now + kPeriod;
  if (now < due_) return due_;
  reading_ = true;
  looks_.run(
      alive_,
      [] {
        Forwards forwards;
        for (auto& one : firewall::read_traffic()) {
          const Key key{one.forward.protocol, one.forward.listen, one.forward.host};
          forwards.emplace(key, std::move(one));
        }
        return forwards;
      },
      [this, now](Outcome<Forwards>& reading) { take(reading, now); });
  return now + kPeriod;
}

void Counters::take(Outcome<Forwards>& reading, Clock::time_point begun) {
  const auto now = Clock::now();
  reading_ = false;
  due_ = std::max<Clock::time_point>(begun + kPeriod, now + kReadingShare * (now - begun));
  if (reading.thrown())
    log::debug("cannot read the counters: {}", bus_error(reading.thrown()).getMessage());
  else {
    forwards_ = std::move(reading.get());
    begun_ = begun;
  }
}

std::vector<exposer::PortTraffic> Counters::of(const state::Lease& lease, const std::string& interface,
                                               Clock::time_point granted) const {
  if (begun_ <= granted) return {};
  std::vector<firewall::ForwardTraffic> forwards;
  for (const auto& port : lease.ports) {
    const auto [begin, end] = forwards_.equal_range(Key{port.protocol, port.container, port.host});
    for (auto one = begin; one != end; ++one) forwards.push_back(one->second);
  }
  return exposer::traffic_of(lease, interface, forwards);
}

}  // namespace hostnet::daemon
