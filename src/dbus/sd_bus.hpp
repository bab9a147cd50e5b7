// sd-bus, opened when the helper is first asked. Linking libsystemd would cost every start of the command
// some milliseconds of dynamic loading, also where no helper is needed, and would make every user of the
// library depend on it.
#pragma once

#include "core/library.hpp"

#include <systemd/sd-bus.h>

#include <memory>

namespace hostnet::dbus {

// Every function of libsystemd that is used.
#define HOSTNET_SD_BUS_FUNCTIONS(X)                     \
  X(sd_bus_open_system)                                 \
  X(sd_bus_flush_close_unref)                           \
  X(sd_bus_call)                                        \
  X(sd_bus_add_match)                                   \
  X(sd_bus_process)                                     \
  X(sd_bus_get_fd)                                      \
  X(sd_bus_get_events)                                  \
  X(sd_bus_get_timeout)                                 \
  X(sd_bus_error_free)                                  \
  X(sd_bus_message_unref)                               \
  X(sd_bus_message_new_method_call)                     \
  X(sd_bus_message_set_allow_interactive_authorization) \
  X(sd_bus_message_set_auto_start)                      \
  X(sd_bus_message_append_basic)                        \
  X(sd_bus_message_open_container)                      \
  X(sd_bus_message_close_container)                     \
  X(sd_bus_message_read_basic)                          \
  X(sd_bus_message_enter_container)                     \
  X(sd_bus_message_exit_container)                      \
  X(sd_bus_message_at_end)                              \
  X(sd_bus_message_is_signal)                           \
  X(sd_bus_message_get_sender)                          \
  X(sd_bus_message_skip)

/// The functions, under their own names, so that a call reads as it does in the manual.
struct SdBus {
  HOSTNET_SD_BUS_FUNCTIONS(HOSTNET_LIBRARY_MEMBER)

  /// The process's one table, filled at the first call. Thread-safe; after a failure the next call tries
  /// again.
  /// @throws Error{no_path} naming the package to install.
  static const SdBus& get();
};

struct CloseBus {
  void operator()(sd_bus* bus) const noexcept { SdBus::get().sd_bus_flush_close_unref(bus); }
};
struct UnrefMessage {
  void operator()(sd_bus_message* message) const noexcept { SdBus::get().sd_bus_message_unref(message); }
};
using Bus = std::unique_ptr<sd_bus, CloseBus>;
using MessageRef = std::unique_ptr<sd_bus_message, UnrefMessage>;

}  // namespace hostnet::dbus
