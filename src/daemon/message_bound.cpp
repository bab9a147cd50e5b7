// The table of methods and the walk over a message's arguments.
#include "daemon/message_bound.hpp"

#include "core/strings.hpp"
#include "dbus/names.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hostnet::daemon {
namespace {

constexpr const char* kBus = "org.freedesktop.DBus";
constexpr const char* kUnknownMethod = "org.freedesktop.DBus.Error.UnknownMethod";
constexpr std::size_t kMaxSignalSize = 4096;

// These limits bound the memory. read_request() checks what the values mean.
constexpr std::array kBounds{
    MethodBound{dbus::kManagerInterface,
                "Expose",
                "ia(sqq)a{sv}",
                {.bytes = 48UL << 10, .values = 8192, .elements = {1024, 32}, .inner_elements = 1024}},
    MethodBound{dbus::kManagerInterface, "Probe", "i"},
    MethodBound{dbus::kLeaseInterface, "Release", ""},
    MethodBound{"org.freedesktop.DBus.Properties", "Get", "ss"},
    MethodBound{"org.freedesktop.DBus.Properties", "GetAll", "s"},
    MethodBound{"org.freedesktop.DBus.Properties", "Set", "ssv", {.inner_elements = 8}},
    MethodBound{"org.freedesktop.DBus.ObjectManager", "GetManagedObjects", ""},
    MethodBound{"org.freedesktop.DBus.Introspectable", "Introspect", ""},
    MethodBound{"org.freedesktop.DBus.Peer", "Ping", ""},
    MethodBound{"org.freedesktop.DBus.Peer", "GetMachineId", ""},
};

struct Excess {
  std::string what;
};

[[noreturn]] void stop(std::string what) { throw Excess{std::move(what)}; }

// The first complete type of a signature, with balanced brackets.
std::string_view first_type(std::string_view signature) {
  std::size_t at = 0;
  while (at < signature.size() && signature[at] == 'a') ++at;
  if (at == signature.size()) stop("an array without a type");
  int open = 0;
  do {
    if (at == signature.size()) stop("a signature that ends too soon");
    if (signature[at] == '(' || signature[at] == '{') ++open;
    if (signature[at] == ')' || signature[at] == '}') --open;
    ++at;
  } while (open > 0);
  return signature.substr(0, at);
}

std::size_t alignment_of(char type) {
  switch (type) {
    case 'y':
    case 'g':
    case 'v':
      return 1;
    case 'n':
    case 'q':
      return 2;
    case 'b':
    case 'i':
    case 'u':
    case 'h':
    case 's':
    case 'o':
    case 'a':
      return 4;
    case 'x':
    case 't':
    case 'd':
    case '(':
    case '{':
      return 8;
    default:
      stop("an unknown D-Bus type");
  }
}

class Walk {
 public:
  Walk(std::span<const std::byte> body, bool big_endian, const ArgumentLimits& limits)
      : body_(body), big_endian_(big_endian), limits_(limits) {}

  void types(std::string_view signature) {
    while (!signature.empty()) {
      const auto type = first_type(signature);
      value(type);
      signature.remove_prefix(type.size());
    }
  }
  void end() const {
    if (at_ != body_.size()) stop("more bytes than arguments");
  }

 private:
  void value(std::string_view type) {
    if (++values_ > limits_.values) stop(fmt::format("more than {} values", limits_.values));
    const auto alignment = alignment_of(type[0]);
    skip((alignment - at_ % alignment) % alignment);
    switch (type[0]) {
      case 's':
      case 'o':
        return text(number32());
      case 'g':
        return text(number8());
      case 'v':
        return inside([&] { variant(); });
      case 'a':
        return inside([&] { array(type.substr(1)); });
      case '(':
      case '{':
        return inside([&] { types(type.substr(1, type.size() - 2)); });
      default:
        skip(type[0] == 'y' ? 1 : alignment);  // a number is as long as its alignment
    }
  }

  template <class Action>
  void inside(Action&& action) {
    if (++depth_ > limits_.depth) stop(fmt::format("more than {} nested containers", limits_.depth));
    action();
    --depth_;
  }

  void variant() {
    const auto size = number8();
    const auto bytes = take(size);
    const std::string_view signature(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    skip(1);
    if (first_type(signature) != signature) stop("a variant of more than one value");
    ++variants_;
    value(signature);
    --variants_;
  }

  void array(std::string_view type) {
    const auto limit = variants_ > 0                       ? limits_.inner_elements
                       : arrays_ < limits_.elements.size() ? limits_.elements[arrays_++]
                                                           : 0;
    const std::size_t size = number32();
    const auto alignment = alignment_of(type[0]);
    skip((alignment - at_ % alignment) % alignment);
    if (size > body_.size() - at_) stop("an array that is longer than its message");
    const auto last = at_ + size;
    for (std::size_t count = 0; at_ < last; ++count) {
      if (count == limit) stop(fmt::format("an array of more than {} elements", limit));
      value(type);
    }
    if (at_ != last) stop("an array whose last element exceeds the array");
  }

  void text(std::size_t size) {
    if (size > limits_.text) stop(fmt::format("a string of more than {} bytes", limits_.text));
    skip(size);
    if (take(1)[0] != std::byte{0}) stop("a string without a terminating NUL");
  }

  std::uint8_t number8() { return std::to_integer<std::uint8_t>(take(1)[0]); }
  std::uint32_t number32() { return load32(take(4).first<4>(), big_endian_); }
  void skip(std::size_t count) { take(count); }
  std::span<const std::byte> take(std::size_t count) {
    if (count > body_.size() - at_) stop("fewer bytes than arguments");
    const auto taken = body_.subspan(at_, count);
    at_ += count;
    return taken;
  }

  std::span<const std::byte> body_;
  bool big_endian_;
  const ArgumentLimits& limits_;
  std::size_t at_ = 0;
  std::size_t values_ = 0;
  std::size_t depth_ = 0;
  std::size_t variants_ = 0;
  std::size_t arrays_ = 0;  // arrays outside of variants so far
};

}  // namespace

std::span<const MethodBound> methods() noexcept { return kBounds; }

std::optional<std::string> walk(std::string_view signature, std::span<const std::byte> body, bool big_endian,
                                const ArgumentLimits& limits) {
  if (body.size() > limits.bytes)
    return fmt::format("{} bytes of arguments exceed the limit of {}", body.size(), limits.bytes);
  try {
    Walk walk(body, big_endian, limits);
    walk.types(signature);
    walk.end();
  } catch (const Excess& excess) {
    return excess.what;
  }
  return std::nullopt;
}

std::optional<Refusal> judge_call(const Preamble& preamble, const Fields& fields,
                                  std::span<const std::byte> body) {
  if (fields.too_long)
    return Refusal{dbus::kInvalidArgs, fmt::format("a path or name of more than {} bytes", Fields::kMaxText)};
  const auto method = std::ranges::find_if(kBounds, [&](const MethodBound& one) {
    return one.interface == fields.interface && one.member == fields.member;
  });
  if (method == kBounds.end())
    return Refusal{kUnknownMethod, fmt::format("there is no method {} in interface {}", quote(fields.member),
                                               quote(fields.interface))};
  if (fields.descriptors > 0)
    return Refusal{dbus::kInvalidArgs, fmt::format("{} accepts no file descriptors", method->member)};
  if (fields.signature != method->signature)
    return Refusal{dbus::kInvalidArgs, fmt::format("{} takes arguments of types '{}', not {}", method->member,
                                                   method->signature, quote(fields.signature))};
  if (const auto fault = walk(method->signature, body, preamble.big_endian, method->limits))
    return Refusal{dbus::kInvalidArgs, fmt::format("{}: {}", method->member, *fault)};
  return std::nullopt;
}

Refusal too_large(std::size_t size) {
  return {dbus::kInvalidArgs,
          fmt::format("a message of {} bytes exceeds the limit of {}", size, kMaxMessageSize)};
}

bool judge_signal(const Preamble& preamble, const Fields& fields) {
  return fields.sender == kBus && !fields.too_long && fields.descriptors == 0 &&
         preamble.size() <= kMaxSignalSize;
}

}  // namespace hostnet::daemon
