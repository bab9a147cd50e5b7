// Writes and reads sd-bus messages, with exceptions instead of return codes.
#pragma once

#include "dbus/sd_bus.hpp"
#include "hostnet/error.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::dbus {

/// Turns a negative return code of sd-bus into an exception. @throws Error{failure}
int checked(int code, std::string_view what);

/// Appends to a method call. container() opens a container, calls `inside` and closes it.
class Writer {
 public:
  explicit Writer(sd_bus_message* message) : message_(message) {}

  void text(const std::string& value) { basic('s', value.c_str()); }
  void int32(std::int32_t value) { basic('i', &value); }
  void uint16(std::uint16_t value) { basic('q', &value); }
  void uint64(std::uint64_t value) { basic('t', &value); }
  void boolean(bool value) {
    const int as_int = value ? 1 : 0;
    basic('b', &as_int);
  }
  template <class Inside>
  void container(char type, const char* contents, Inside&& inside) {
    checked(api_.sd_bus_message_open_container(message_, type, contents), "write a message");
    inside();
    checked(api_.sd_bus_message_close_container(message_), "write a message");
  }
  /// One entry of an a{sv}.
  template <class Inside>
  void entry(const char* key, const char* type, Inside&& inside) {
    container('e', "sv", [&] {
      text(key);
      container('v', type, inside);
    });
  }

 private:
  void basic(char type, const void* value) {
    checked(api_.sd_bus_message_append_basic(message_, type, value), "write a message");
  }

  const SdBus& api_ = SdBus::get();
  sd_bus_message* message_;
};

/// Reads a reply. A value of another type than asked for is an error: the peer is not the helper that we
/// know. So is a reply larger than a helper with all its leases could send.
class Reader {
 public:
  explicit Reader(sd_bus_message* message) : message_(message) {}

  std::string text(char type = 's') {
    const char* value = nullptr;
    basic(type, &value);
    std::string text(value);
    spend(text_, text.size());
    return text;
  }
  template <class Number>
  Number number(char type) {
    Number value{};
    basic(type, &value);
    return value;
  }
  bool boolean() { return number<int>('b') != 0; }
  /// Calls `each` for every element of an array; once for a struct, dictionary entry or variant
  /// (container()).
  template <class Each>
  void array(const char* contents, Each&& each) {
    enter('a', contents);
    while (checked(api_.sd_bus_message_at_end(message_, 0), "read a message") == 0) each();
    leave();
  }
  template <class Inside>
  void container(char type, const char* contents, Inside&& inside) {
    enter(type, contents);
    inside();
    leave();
  }
  void skip(const char* types) { checked(api_.sd_bus_message_skip(message_, types), "read a message"); }

 private:
  static void spend(std::size_t& budget, std::size_t amount) {
    if (amount > budget) throw Error(Errc::failure, "read a message: it is too large");
    budget -= amount;
  }
  void basic(char type, void* into) {
    spend(values_, 1);
    if (checked(api_.sd_bus_message_read_basic(message_, type, into), "read a message") == 0)
      throw Error(Errc::failure, "read a message: it ends too soon");
  }
  void enter(char type, const char* contents) {
    spend(values_, 1);
    if (checked(api_.sd_bus_message_enter_container(message_, type, contents), "read a message") == 0)
      throw Error(Errc::failure, "read a message: it ends too soon");
  }
  void leave() { checked(api_.sd_bus_message_exit_container(message_), "read a message"); }

  const SdBus& api_ = SdBus::get();
  sd_bus_message* message_;
  std::size_t values_ = 1U << 20;  // values and containers that may still be read
  std::size_t text_ = 8U << 20;    // bytes of strings that may still be read
};

}  // namespace hostnet::dbus
