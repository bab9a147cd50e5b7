// The helper's methods as functions.
#include "dbus/client.hpp"

#include "core/loopback.hpp"
#include "dbus/message.hpp"
#include "dbus/names.hpp"
#include "hostnet/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <map>

namespace hostnet::dbus {
namespace {

constexpr const char* kBus = "org.freedesktop.DBus";
constexpr const char* kAddresses = "addresses";  // the option of Expose()
constexpr const char* kBusPath = "/org/freedesktop/DBus";
constexpr const char* kObjects = "org.freedesktop.DBus.ObjectManager";
// Time to answer a prompt, in addition to the call's own deadline.
constexpr std::chrono::minutes kPatience{10};

// For a reply of the bus itself.
constexpr std::chrono::seconds kBusPatience{5};

struct CallError {
  sd_bus_error error{};
  CallError() = default;
  CallError(const CallError&) = delete;
  CallError& operator=(const CallError&) = delete;
  ~CallError() { SdBus::get().sd_bus_error_free(&error); }
};

MessageRef method(Bus& bus, const char* destination, const char* path, const char* interface,
                  const char* member) {
  sd_bus_message* message = nullptr;
  checked(
      SdBus::get().sd_bus_message_new_method_call(bus.get(), &message, destination, path, interface, member),
      "write a message");
  return MessageRef(message);
}

std::vector<HostPort> read_ports(
    Reader& reader, const char* contents, const std::function<void(Reader&)>& more = [](Reader&) {}) {
  std::vector<HostPort> ports;
  reader.array(contents, [&] {
    const std::string inside(contents + 1, std::strlen(contents) - 2);
    reader.container('r', inside.c_str(), [&] {
      HostPort port;
      port.protocol = reader.text() == "udp" ? Protocol::udp : Protocol::tcp;
      port.container = reader.number<std::uint16_t>('q');
      port.host = reader.number<std::uint16_t>('q');
      more(reader);
      ports.push_back(std::move(port));
    });
  });
  return ports;
}

// Reads one property of a lease. Unknown properties are skipped: a later helper may have more.
using ReadProperty = void (*)(Reader& reader, LeaseFacts& facts);
const std::map<std::string, std::pair<const char*, ReadProperty>>& properties() {
  static const std::map<std::string, std::pair<const char*, ReadProperty>> table{
      {"Id", {"s", [](Reader& r, LeaseFacts& f) { f.id = r.text(); }}},
      {"OwnerUid", {"u", [](Reader& r, LeaseFacts& f) { f.uid = r.number<std::uint32_t>('u'); }}},
      {"OwnerPid",
       {"u", [](Reader& r, LeaseFacts& f) { f.pid = static_cast<pid_t>(r.number<std::uint32_t>('u')); }}},
      {"Interface", {"s", [](Reader& r, LeaseFacts& f) { f.interface = r.text(); }}},
      {"Gateway", {"s", [](Reader& r, LeaseFacts& f) { f.gateway = r.text(); }}},
      {"Sources",
       {"as", [](Reader& r, LeaseFacts& f) { r.array("s", [&] { f.sources.push_back(r.text()); }); }}},
      {"Addresses",
       {"as", [](Reader& r, LeaseFacts& f) { r.array("s", [&] { f.addresses.push_back(r.text()); }); }}},
      {"Ports", {"a(sqq)", [](Reader& r, LeaseFacts& f) { f.ports = read_ports(r, "(sqq)"); }}},
      {"Counters",
       {"a(sqqtt)",
        [](Reader& r, LeaseFacts& f) {
          read_ports(r, "(sqqtt)", [&f](Reader& reader) {
            f.packets.push_back(reader.number<std::uint64_t>('t'));
            f.bytes.push_back(reader.number<std::uint64_t>('t'));
          });
        }}},
      {"Unpinned", {"s", [](Reader& r, LeaseFacts& f) { f.unpinned = r.text(); }}},
      {"Label", {"s", [](Reader& r, LeaseFacts& f) { f.label = r.text(); }}},
      {"Lifetime", {"s", [](Reader& r, LeaseFacts& f) { f.lifetime = r.text(); }}},
      {"State", {"s", [](Reader& r, LeaseFacts& f) { f.state = r.text(); }}},
      {"Created", {"t", [](Reader& r, LeaseFacts& f) { f.created = r.number<std::uint64_t>('t'); }}},
      {"Expires", {"t", [](Reader& r, LeaseFacts& f) { f.expires = r.number<std::uint64_t>('t'); }}},
  };
  return table;
}

void read_properties(Reader& reader, LeaseFacts& facts) {
  reader.array("{sv}", [&] {
    reader.container('e', "sv", [&] {
      const auto known = properties().find(reader.text());
      if (known == properties().end()) return reader.skip("v");
      const auto& [type, read] = known->second;
      reader.container('v', type, [&, inner = read] { inner(reader, facts); });
    });
  });
  for (std::size_t i = 0; i < facts.ports.size() && i < facts.addresses.size(); ++i)
    if (facts.addresses[i] != kLoopback.to_string()) facts.ports[i].address = facts.addresses[i];
}

bool has_address(const HostPort& port) { return !port.address.empty(); }

int on_nothing(sd_bus_message*, void*, sd_bus_error*) { return 0; }

}  // namespace

int checked(int code, std::string_view what) {
  if (code < 0) throw Error::from_errno(fmt::format("D-Bus: {}", what), -code);
  return code;
}

Client::Client() : api_(SdBus::get()) {
  sd_bus* bus = nullptr;
  if (const int code = api_.sd_bus_open_system(&bus); code < 0)
    throw Error(Errc::no_path, fmt::format("the system bus is not reachable: {}", std::strerror(-code)), {},
                -code);
  bus_.reset(bus);
}

MessageRef Client::call(MessageRef request, Deadline deadline, bool interactive) {
  if (interactive)
    checked(api_.sd_bus_message_set_allow_interactive_authorization(request.get(), 1), "write a message");
  const auto patience =
      std::chrono::microseconds{deadline.remaining()} + (interactive ? kPatience : kPatience * 0);
  CallError error;
  sd_bus_message* reply = nullptr;
  const int code = api_.sd_bus_call(bus_.get(), request.get(),
                                    static_cast<std::uint64_t>(std::max<std::int64_t>(patience.count(), 1)),
                                    &error.error, &reply);
  MessageRef owned(reply);
  if (code >= 0) return owned;
  const std::string name = error.error.name == nullptr ? "" : error.error.name;
  const std::string text = error.error.message == nullptr ? std::strerror(-code) : error.error.message;
  throw Error(error_code(name), fmt::format("the helper says: {}", text), {}, -code);
}

bool Client::is_running(Deadline deadline) {
  auto request = method(bus_, kBus, kBusPath, kBus, "NameHasOwner");
  Writer(request.get()).text(kBusName);
  const auto reply = call(std::move(request), deadline);
  return Reader(reply.get()).boolean();
}

bool Client::is_there(Deadline deadline) {
  if (is_running(deadline)) return true;
  const auto reply = call(method(bus_, kBus, kBusPath, kBus, "ListActivatableNames"), deadline);
  bool there = false;
  Reader reader(reply.get());
  reader.array("s", [&] { there = reader.text() == kBusName || there; });
  return there;
}

std::vector<std::string> Client::probe(int ifindex, Deadline deadline) {
  auto request = method(bus_, kBusName, kManagerPath, kManagerInterface, "Probe");
  Writer(request.get()).int32(ifindex);
  const auto reply = call(std::move(request), deadline);
  std::vector<std::string> reasons;
  Reader reader(reply.get());
  reader.array("{sv}", [&] {
    reader.container('e', "sv", [&] {
      if (reader.text() != "reasons") return reader.skip("v");
      reader.container('v', "as", [&] { reader.array("s", [&] { reasons.push_back(reader.text()); }); });
    });
  });
  return reasons;
}

Granted Client::expose(const ExposeCall& wanted, Deadline deadline) {
  const bool addressed = std::ranges::any_of(wanted.ports, has_address);
  if (addressed && !std::ranges::count(features(deadline), kAddresses))
    throw Error(Errc::no_path, "the helper that runs is an older one, which serves 127.0.0.1 alone",
                "install and restart tc-hostnetd, or run as root: sudo tc-hostnet …");
  auto request = method(bus_, kBusName, kManagerPath, kManagerInterface, "Expose");
  Writer writer(request.get());
  writer.int32(wanted.ifindex);
  writer.container('a', "(sqq)", [&] {
    for (const auto& port : wanted.ports)
      writer.container('r', "sqq", [&] {
        writer.text(to_string(port.protocol));
        writer.uint16(port.container);
        writer.uint16(port.host);
      });
  });
  writer.container('a', "{sv}", [&] {
    const auto text = [&](const char* key, const std::string& value) {
      if (!value.empty()) writer.entry(key, "s", [&] { writer.text(value); });
    };
    text("ifname", wanted.ifname);
    text("gateway", wanted.gateway);
    text("host-gateway", wanted.host_gateway);
    text("label", wanted.label);
    if (!wanted.sources.empty())
      writer.entry("sources", "as", [&] {
        writer.container('a', "s", [&] {
          for (const auto& source : wanted.sources) writer.text(source);
        });
      });
    if (addressed)
      writer.entry(kAddresses, "as", [&] {
        writer.container('a', "s", [&] {
          for (const auto& port : wanted.ports) writer.text(port.address);
        });
      });
    if (wanted.timeout)
      writer.entry("timeout", "t",
                   [&] { writer.uint64(static_cast<std::uint64_t>(wanted.timeout->count())); });
    writer.entry("require-listener", "b", [&] { writer.boolean(wanted.require_listener); });
    writer.entry("interactive", "b", [&] { writer.boolean(wanted.interactive); });
  });
  const auto reply = call(std::move(request), deadline, wanted.interactive);
  Reader reader(reply.get());
  Granted granted;
  granted.lease = reader.text('o');
  // The message closes its own descriptor.
  granted.keepalive.reset(::fcntl(reader.number<int>('h'), F_DUPFD_CLOEXEC, 3));
  if (!granted.keepalive) throw Error::from_errno("keep the lease's descriptor", errno);
  return granted;
}

MessageRef Client::property(const std::string& object, const char* interface, const char* name,
                            Deadline deadline) {
  auto request = method(bus_, kBusName, object.c_str(), "org.freedesktop.DBus.Properties", "Get");
  Writer writer(request.get());
  writer.text(interface);
  writer.text(name);
  return call(std::move(request), deadline);
}

std::string Client::unpinned(const std::string& lease, Deadline deadline) {
  const auto reply = property(lease, kLeaseInterface, "Unpinned", deadline);
  std::string why;
  Reader reader(reply.get());
  reader.container('v', "s", [&] { why = reader.text(); });
  return why;
}

std::vector<std::string> Client::features(Deadline deadline) {
  const auto reply = property(kManagerPath, kManagerInterface, "Features", deadline);
  std::vector<std::string> keys;
  Reader reader(reply.get());
  reader.container('v', "as", [&] { reader.array("s", [&] { keys.push_back(reader.text()); }); });
  return keys;
}

void Client::release(const std::string& lease, bool interactive, Deadline deadline) {
  call(method(bus_, kBusName, lease.c_str(), kLeaseInterface, "Release"), deadline, interactive);
}

std::vector<LeaseFacts> Client::leases(Deadline deadline) {
  std::vector<LeaseFacts> leases;
  if (!is_running(deadline)) return leases;
  auto request = method(bus_, kBusName, kManagerPath, kObjects, "GetManagedObjects");
  checked(api_.sd_bus_message_set_auto_start(request.get(), 0), "write a message");
  const auto reply = call(std::move(request), deadline);
  Reader reader(reply.get());
  reader.array("{oa{sa{sv}}}", [&] {
    reader.container('e', "oa{sa{sv}}", [&] {
      LeaseFacts facts;
      facts.path = reader.text('o');
      bool is_lease = false;
      reader.array("{sa{sv}}", [&] {
        reader.container('e', "sa{sv}", [&] {
          if (reader.text() != kLeaseInterface) return reader.skip("a{sv}");
          is_lease = true;
          read_properties(reader, facts);
        });
      });
      if (is_lease) leases.push_back(std::move(facts));
    });
  });
  std::ranges::sort(leases, {}, &LeaseFacts::created);
  return leases;
}

void Client::watch() {
  const auto released = fmt::format("type='signal',sender='{}',interface='{}',member='LeaseReleased'",
                                    kBusName, kManagerInterface);
  const auto owner =
      fmt::format("type='signal',sender='{}',member='NameOwnerChanged',arg0='{}'", kBus, kBusName);
  for (const auto& match : {released, owner})
    checked(api_.sd_bus_add_match(bus_.get(), nullptr, match.c_str(), on_nothing, nullptr),
            "listen for signals");
  // A change from here on arrives as a signal, read later.
  const auto deadline = Deadline::after(kBusPatience);
  if (!is_running(deadline)) return;
  auto request = method(bus_, kBus, kBusPath, kBus, "GetNameOwner");
  Writer(request.get()).text(kBusName);
  try {
    const auto reply = call(std::move(request), deadline);
    helper_ = Reader(reply.get()).text();
  } catch (const Error&) {
    helper_.clear();  // the helper left the bus in between
  }
}

void Client::watch_leases() {
  const auto objects = fmt::format("type='signal',sender='{}',interface='{}'", kBusName, kObjects);
  const auto owner =
      fmt::format("type='signal',sender='{}',member='NameOwnerChanged',arg0='{}'", kBus, kBusName);
  for (const auto& match : {objects, owner})
    checked(api_.sd_bus_add_match(bus_.get(), nullptr, match.c_str(), on_nothing, nullptr),
            "listen for signals");
}

bool Client::leases_changed() {
  bool changed = false;
  for (;;) {
    sd_bus_message* raw = nullptr;
    if (checked(api_.sd_bus_process(bus_.get(), &raw), "read from the bus") == 0) return changed;
    const MessageRef message(raw);
    // Another user's signal causes one more look, no more.
    changed =
        changed || (raw != nullptr && (api_.sd_bus_message_is_signal(raw, kObjects, nullptr) > 0 ||
                                       api_.sd_bus_message_is_signal(raw, kBus, "NameOwnerChanged") > 0));
  }
}

bool Client::is_signal_of(sd_bus_message* message, const std::string& sender, const char* interface,
                          const char* member) const {
  const char* const from = api_.sd_bus_message_get_sender(message);
  return from != nullptr && from == sender && api_.sd_bus_message_is_signal(message, interface, member) > 0;
}

std::optional<Client::Event> Client::next_event() {
  for (;;) {
    sd_bus_message* raw = nullptr;
    if (checked(api_.sd_bus_process(bus_.get(), &raw), "read from the bus") == 0) return std::nullopt;
    const MessageRef message(raw);
    if (!message) continue;
    Event event;
    if (is_signal_of(raw, helper_, kManagerInterface, "LeaseReleased")) {
      Reader reader(raw);
      Released released;
      released.lease = reader.text('o');
      released.reason = reader.text();
      event.released = std::move(released);
      return event;
    }
    if (is_signal_of(raw, kBus, kBus, "NameOwnerChanged")) {
      Reader reader(raw);
      if (reader.text() != kBusName) continue;
      reader.text();  // the old owner
      helper_ = reader.text();
      event.helper_gone = helper_.empty();
      if (event.helper_gone) return event;
    }
  }
}

int Client::fd() const { return checked(api_.sd_bus_get_fd(bus_.get()), "wait for the bus"); }
short Client::events() const {
  return static_cast<short>(checked(api_.sd_bus_get_events(bus_.get()), "wait for the bus"));
}

int Client::timeout() const {
  std::uint64_t at = 0;
  checked(api_.sd_bus_get_timeout(bus_.get(), &at), "wait for the bus");
  if (at == UINT64_MAX) return -1;
  const auto now = std::chrono::duration_cast<std::chrono::microseconds>(
                       std::chrono::steady_clock::now().time_since_epoch())
                       .count();
  const auto left = static_cast<std::int64_t>(at) - now;
  return left <= 0 ? 0 : static_cast<int>(std::min<std::int64_t>(left / 1000 + 1, INT_MAX));
}

}  // namespace hostnet::dbus
