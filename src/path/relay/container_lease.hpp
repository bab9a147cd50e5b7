// A lease for one container on the relay path: sockets in its own network namespace, by setns(2) or by
// hand-off (container_net.hpp, handoff.hpp). It ends with the container's first process, at once: an open
// socket keeps its network namespace in the kernel.
#pragma once

#include "path/relay/lease.hpp"
#include "path/relay/target.hpp"

#include <string>
#include <vector>

namespace hostnet::exposer {

class ContainerLease final : public RelayLease {
 public:
  /// @throws Error.
  ContainerLease(RelaySettings settings, const ExposeRequest& request, std::vector<HostPort> ports,
                 RelayTarget target, Deadline deadline);
  ~ContainerLease() override { stop_keeper(); }

 private:
  void check_rivals() override;
  void open(Deadline deadline) override;
  void close_rest() noexcept override;
  void write_names(Deadline deadline) override;
  void remove_names(Deadline deadline, Failures& failures) override;
  void remove_remains(Deadline deadline) override;
  [[nodiscard]] int watched() const noexcept override { return net_.process.get(); }
  void look(bool readable) override;
  [[nodiscard]] std::string taken(const Served& one) const override;

  [[nodiscard]] std::vector<relay::Door> doors() const;

  relay::ContainerNet net_;
  engine::Container container_;
  Fd hosts_;  // of a hand-off: the container's hosts file
  Fd map_;    // of the port map, if there is one
};

}  // namespace hostnet::exposer
