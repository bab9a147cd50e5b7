// What a message to the helper may be: one table of the methods with the signature and the limits of each.
//
// A message is walked where it lies, and nothing is built of it, before sd-bus and sdbus-c++ see it: they
// make an object of some 500 bytes of every variant. A method that is not in the table does not reach the
// daemon.
#pragma once

#include "daemon/message_header.hpp"

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace hostnet::daemon {

/// The largest message of any kind that is read whole.
inline constexpr std::size_t kMaxMessageSize = 64UL << 10;

/// Of a method's arguments. Numbers of values count containers, too.
struct ArgumentLimits {
  std::size_t bytes = 1024;  ///< Of the body.
  std::size_t values = 16;
  std::size_t text = 255;  ///< Bytes of one string.
  std::size_t depth = 4;   ///< Containers in containers.
  /// Elements of the first and second outermost array, and of each array inside of a variant.
  std::array<std::size_t, 2> elements{0, 0};
  std::size_t inner_elements = 0;
};

struct MethodBound {
  std::string_view interface;
  std::string_view member;
  std::string_view signature;
  ArgumentLimits limits{};
};

/// All methods that may be called.
std::span<const MethodBound> methods() noexcept;

/// Why a message may not pass, for its sender.
struct Refusal {
  const char* error = nullptr;  ///< Name of the D-Bus error.
  std::string text;             ///< One line; of the sender's values nothing but what is printable.
};

/// Whether the arguments are of the types, and within the limits; else what is wrong. Pure; reads `body`
/// once.
std::optional<std::string> walk(std::string_view signature, std::span<const std::byte> body, bool big_endian,
                                const ArgumentLimits& limits);

/// Whether a call may pass. `body` is what follows the header. Pure.
std::optional<Refusal> judge_call(const Preamble& preamble, const Fields& fields,
                                  std::span<const std::byte> body);

/// For a message of more than kMaxMessageSize bytes. Pure.
Refusal too_large(std::size_t size);

/// Whether a signal may pass: only the bus itself has any for the helper. Pure.
bool judge_signal(const Preamble& preamble, const Fields& fields);

}  // namespace hostnet::daemon
