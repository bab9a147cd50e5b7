// Feeds arbitrary bytes as a message on the wire, as the arguments of Expose() (any local user may send both
// to the root daemon), and as the journal that the daemon reads at start.
#include "daemon/message_bound.hpp"
#include "daemon/request.hpp"
#include "hostnet/error.hpp"
#include "lease/journal.hpp"

#include <sdbus-c++/sdbus-c++.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

using namespace hostnet;

namespace {

void require(bool promise) {
  if (!promise) std::abort();
}

// Takes values off the front of the input; gives zero and empty at its end.
class Source {
 public:
  explicit Source(std::string_view bytes) : bytes_(bytes) {}

  template <class Number>
  Number number() {
    Number value{};
    const auto size = std::min(sizeof value, bytes_.size());
    std::memcpy(&value, bytes_.data(), size);
    bytes_.remove_prefix(size);
    return value;
  }
  std::string text() {
    const auto size = std::min<std::size_t>(number<std::uint8_t>(), bytes_.size());
    std::string out(bytes_.substr(0, size));
    bytes_.remove_prefix(size);
    // D-Bus has no NUL in a string.
    std::erase(out, '\0');
    return out;
  }
  [[nodiscard]] bool empty() const { return bytes_.empty(); }

 private:
  std::string_view bytes_;
};

sdbus::Variant variant(Source& source) {
  switch (source.number<std::uint8_t>() % 6) {
    case 0:
      return sdbus::Variant(source.number<std::uint8_t>() % 2 == 1);
    case 1:
      return sdbus::Variant(source.text());
    case 2:
      return sdbus::Variant(source.number<std::uint64_t>());
    case 3: {
      std::vector<std::string> texts(source.number<std::uint8_t>() % 70);
      for (auto& text : texts) text = source.text();
      return sdbus::Variant(texts);
    }
    case 4:
      return sdbus::Variant(source.number<double>());
    default:
      return sdbus::Variant(source.number<std::int32_t>());
  }
}

void request(std::string_view bytes) {
  Source source(bytes);
  const auto ifindex = source.number<std::int32_t>();
  daemon::PortList ports(source.number<std::uint8_t>());
  for (auto& port : ports) {
    const auto kind = source.number<std::uint8_t>() % 8;
    port = {kind == 0   ? source.text()
            : kind == 1 ? "udp"
                        : "tcp",
            source.number<std::uint16_t>(), source.number<std::uint16_t>()};
  }
  daemon::Options options;
  const auto keys = daemon::option_keys();
  while (!source.empty() && options.size() < 16) {
    const auto choice = source.number<std::uint8_t>();
    auto key = choice % 16 < keys.size() ? keys[choice % 16] : source.text();
    try {
      options[std::move(key)] = variant(source);
    } catch (const sdbus::Error&) {
      return;  // text that is not UTF-8: no bus delivers it
    }
  }
  try {
    const auto read = daemon::read_request(ifindex, ports, options);
    require(read.ifindex > 0 && !read.ports.empty() && read.ports.size() <= ports.size());
    for (const auto& port : read.ports) require(port.host != 0 && port.container != 0 && port.socket.empty());
    require(read.label.size() <= 64 && read.ifname.size() < 16 && read.sources.size() <= 64);
    for (const char c : read.label) require(static_cast<unsigned char>(c) >= 0x20);
    require(read.lifetime != state::Lifetime::process);
    require(!read.timeout || read.timeout->count() > 0);
    require(daemon::read_request(ifindex, daemon::to_ports(read.ports), options).ports == read.ports);
  } catch (const Error& error) {
    require(error.code() == Errc::invalid_argument);
  }
}

// As a message from the bus: header, method table, walk over the arguments.
void message(std::span<const std::byte> bytes) {
  if (bytes.size() < daemon::Preamble::kSize) return;
  const auto preamble = daemon::Preamble::parse(bytes.first<daemon::Preamble::kSize>());
  if (!preamble) return;
  require(preamble->size() >= daemon::Preamble::kSize && preamble->size() <= 128U << 20);
  daemon::Bytes source(bytes.subspan(daemon::Preamble::kSize));
  const auto fields = daemon::Fields::read(*preamble, source);
  if (!fields) return;
  require(bytes.size() >= preamble->header_size());
  for (const auto* const text : {&fields->path, &fields->interface, &fields->member, &fields->destination,
                                 &fields->sender, &fields->signature})
    require(text->size() <= daemon::Fields::kMaxText && text->find('\0') == std::string::npos);
  daemon::judge_signal(*preamble, *fields);
  if (bytes.size() < preamble->size()) return;
  const auto refusal =
      daemon::judge_call(*preamble, *fields, bytes.subspan(preamble->header_size(), preamble->body_size));
  if (refusal) {
    require(refusal->text.size() < 1024 && refusal->text.find('\n') == std::string::npos);
    return;
  }
  require(preamble->body_size <= daemon::kMaxMessageSize && fields->descriptors == 0 && !fields->too_long);
}

// As the body of every method, and with arbitrary types. A body that passes has exactly the size of its
// arguments; one byte more or less does not pass.
void body(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  const auto methods = daemon::methods();
  const auto choice = std::to_integer<std::uint8_t>(bytes[0]);
  const auto& method = methods[choice / 2 % methods.size()];
  const bool big_endian = choice % 2 == 1;
  const auto rest = bytes.subspan(1);
  if (!daemon::walk(method.signature, rest, big_endian, method.limits)) {
    require(rest.size() <= method.limits.bytes);
    require(rest.empty() ||
            daemon::walk(method.signature, rest.first(rest.size() - 1), big_endian, method.limits));
    require(!method.signature.empty() || rest.empty());
  }
  const auto size =
      std::min<std::size_t>(rest.empty() ? 0 : std::to_integer<std::uint8_t>(rest[0]), rest.size());
  const std::string_view types(reinterpret_cast<const char*>(rest.data()), size);
  daemon::walk(types, rest.subspan(size), big_endian,
               {.bytes = 1U << 16,
                .values = 8192,
                .text = 1000,
                .depth = 8,
                .elements = {99, 9},
                .inner_elements = 9});
}

void journal(std::string_view text) {
  try {
    const auto snapshot = state::from_json(std::string(text) + '\n', "boot");
    require(state::from_json(state::to_json(snapshot, "boot"), "boot") == snapshot);
  } catch (const Error& error) {
    require(error.code() == Errc::state_corrupt);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  message(std::as_bytes(std::span(data, size)));
  body(std::as_bytes(std::span(data, size)));
  request(bytes);
  journal(bytes);
  return 0;
}
