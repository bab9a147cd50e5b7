// sdbus-c++, versions 1.2 and 2.x, under one interface.
//
// 2.0 gave each kind of name a type of its own, hands messages to handlers by value, and renamed a few
// functions. The helper uses the names and functions below instead, which are as small as either version's.
// Everything else is the same in both, the generated adaptor included.
//
//   here               1.2                                       2.x
//   BusName …          std::string                               types with explicit constructors
//   named_error()      Error(name, text)                         Error(Error::Name(name), text)
//   make_proxy()       createProxy(connection, string, string)   createProxy(…, ServiceName, ObjectPath)
//   call_async()       callMethod(…, handler, timeout)           callMethodAsync(…), no timeout of 0
//   add_match()        addMatch(): returns the slot              addMatch(…, return_slot)
//   current_message()  getCurrentlyProcessedMessage(): pointer   the same: a copy of the reference
//   process_one()      processPendingRequest()                   processPendingEvent()
//   wake_fd()          –: -1, which poll() ignores               PollData::eventFd
#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace hostnet::daemon {

using ReplyHandler = std::function<void(sdbus::MethodReply& reply, const sdbus::Error* error)>;
using MessageHandler = std::function<void(sdbus::Message& message)>;

#if __has_include(<sdbus-c++/VTableItems.h>)  // 2.x; the headers do not tell the version

using sdbus::BusName;
using sdbus::InterfaceName;
using sdbus::MemberName;

inline sdbus::Error named_error(std::string name, std::string text) {
  return sdbus::Error(sdbus::Error::Name(std::move(name)), std::move(text));
}

inline void call_async(sdbus::IProxy& proxy, const sdbus::MethodCall& message, ReplyHandler handler,
                       std::optional<std::chrono::microseconds> timeout = {}) {
  sdbus::async_reply_handler forward = [handler = std::move(handler)](sdbus::MethodReply reply,
                                                                      std::optional<sdbus::Error> error) {
    handler(reply, error ? &*error : nullptr);
  };
  if (timeout)
    proxy.callMethodAsync(message, std::move(forward), *timeout);
  else
    proxy.callMethodAsync(message, std::move(forward));
}

[[nodiscard]] inline sdbus::Slot add_match(sdbus::IConnection& connection, const std::string& rule,
                                           MessageHandler handler) {
  return connection.addMatch(
      rule, [handler = std::move(handler)](sdbus::Message message) { handler(message); }, sdbus::return_slot);
}

inline sdbus::Message current_message(const sdbus::IObject& object) {
  return object.getCurrentlyProcessedMessage();
}

inline bool process_one(sdbus::IConnection& connection) { return connection.processPendingEvent(); }

inline int wake_fd(const sdbus::IConnection::PollData& poll_data) { return poll_data.eventFd; }

#else

using BusName = std::string;
using InterfaceName = std::string;
using MemberName = std::string;

inline sdbus::Error named_error(std::string name, std::string text) {
  return {std::move(name), std::move(text)};
}

inline void call_async(sdbus::IProxy& proxy, const sdbus::MethodCall& message, ReplyHandler handler,
                       std::optional<std::chrono::microseconds> timeout = {}) {
  proxy.callMethod(message, std::move(handler), timeout.value_or(std::chrono::microseconds{0}));
}

[[nodiscard]] inline sdbus::Slot add_match(sdbus::IConnection& connection, const std::string& rule,
                                           MessageHandler handler) {
  return connection.addMatch(rule, std::move(handler));
}

inline const sdbus::Message& current_message(const sdbus::IObject& object) {
  return *object.getCurrentlyProcessedMessage();
}

inline bool process_one(sdbus::IConnection& connection) { return connection.processPendingRequest(); }

inline int wake_fd(const sdbus::IConnection::PollData&) { return -1; }

#endif

inline std::unique_ptr<sdbus::IProxy> make_proxy(sdbus::IConnection& connection, const char* service,
                                                 const char* path) {
  return sdbus::createProxy(connection, BusName(service), sdbus::ObjectPath(path));
}

}  // namespace hostnet::daemon
