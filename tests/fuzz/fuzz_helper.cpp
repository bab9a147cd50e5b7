// Any bytes as the arguments of Expose(), which every local user may send to a daemon of root's, and as the
// journal that it reads when it starts.
#include "daemon/request.hpp"
#include "hostnet/error.hpp"
#include "state/journal.hpp"

#include <sdbus-c++/sdbus-c++.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

using namespace hostnet;

namespace {

void require(bool promise) {
  if (!promise) std::abort();
}

// Takes values off the front of the input; zero and empty when it is used up.
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
      return;  // text that is not UTF-8: no bus would have carried it here
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

void journal(std::string_view text) {
  try {
    const auto holdings = state::from_json(std::string(text) + '\n', "boot");
    require(state::from_json(state::to_json(holdings, "boot"), "boot") == holdings);
  } catch (const Error& error) {
    require(error.code() == Errc::state_corrupt);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  request(bytes);
  journal(bytes);
  return 0;
}
