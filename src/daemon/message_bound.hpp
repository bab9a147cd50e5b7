// Bounds on messages to the helper: one table of methods, with the signature and the limits of each.
//
//   message   check, in this order                               on failure
//   any       at most 64 KiB (kMaxMessageSize)                   call: InvalidArgs; reply: LimitsExceeded to
//                                                                our own caller; signal: dropped
//   call      path and names of at most 255 bytes                InvalidArgs
//   call      method in the table                                UnknownMethod
//   call      no file descriptors                                InvalidArgs
//   call      the method's signature                             InvalidArgs
//   call      walk(): arguments well-formed and within limits    InvalidArgs
//   signal    from the bus itself, at most 4096 bytes, names     dropped
//             within 255 bytes, no file descriptors
//
//   limit on a call's arguments     default   Expose
//   bytes                           1024      32 KiB
//   values, containers included     16        8192
//   bytes in a string               255       255
//   nesting depth                   4         4
//   elements in an array            0         1024 ports, 32 options
//   elements in an array inside     0         128 (Properties.Set: 8)
//     a variant
//
// The walk reads a message in place and builds nothing from it, before sd-bus and sdbus-c++ see it: these
// build an object of some 500 bytes from every variant. A method that is not in the table never reaches the
// daemon.
#pragma once

#include "daemon/message_header.hpp"

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace hostnet::daemon {

/// The largest message that is read as a whole.
inline constexpr std::size_t kMaxMessageSize = 64UL << 10;

/// Limits on a method's arguments. `values` counts containers, too.
struct ArgumentLimits {
  std::size_t bytes = 1024;  ///< Of the body.
  std::size_t values = 16;
  std::size_t text = 255;  ///< Bytes of one string.
  std::size_t depth = 4;   ///< Nested containers.
  /// Elements of the first and second array outside of variants, and of each array inside a variant.
  std::array<std::size_t, 2> elements{0, 0};
  std::size_t inner_elements = 0;
};

struct MethodBound {
  std::string_view interface;
  std::string_view member;
  std::string_view signature;
  ArgumentLimits limits{};
};

/// All callable methods.
std::span<const MethodBound> methods() noexcept;

/// Why a message was refused, for its sender.
struct Refusal {
  const char* error = nullptr;  ///< Name of the D-Bus error.
  std::string text;             ///< One line; the sender's values appear only with unprintable bytes escaped.
};

/// Checks the types and limits of the arguments. Returns the fault, or nullopt. Pure; reads `body` once.
std::optional<std::string> walk(std::string_view signature, std::span<const std::byte> body, bool big_endian,
                                const ArgumentLimits& limits);

/// Checks a call. `body` is the part after the header. Pure.
std::optional<Refusal> judge_call(const Preamble& preamble, const Fields& fields,
                                  std::span<const std::byte> body);

/// The refusal of a message larger than kMaxMessageSize. Pure.
Refusal too_large(std::size_t size);

/// Whether a signal may pass: only the bus itself sends signals that the helper needs. Pure.
bool judge_signal(const Preamble& preamble, const Fields& fields);

}  // namespace hostnet::daemon
