// What epoll reports to.
#pragma once

#include <cstdint>

namespace hostnet::relay {

class Source {
 public:
  virtual void on_events(std::uint32_t events) = 0;

 protected:
  ~Source() = default;
};

}  // namespace hostnet::relay
