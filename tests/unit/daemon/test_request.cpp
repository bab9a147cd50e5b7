// Arguments of Expose(): which are accepted, and that all others are refused.
#include "daemon/request.hpp"
#include "support/expect_error.hpp"

#include <doctest/doctest.h>
#include <sdbus-c++/sdbus-c++.h>

using namespace hostnet;
using namespace hostnet::daemon;

namespace {

PortList ports(std::initializer_list<std::uint16_t> numbers) {
  PortList list;
  for (const auto number : numbers) list.emplace_back("tcp", number, number);
  return list;
}

std::string refusal(std::int32_t ifindex, const PortList& list, const Options& options = {}) {
  const auto error = test::error_of([&] { read_request(ifindex, list, options); });
  CHECK(error.code() == Errc::invalid_argument);
  return error.what();
}

}  // namespace

TEST_CASE("without options") {
  const auto request = read_request(7, ports({8081, 8080, 8080}), {});
  CHECK(request.ifindex == 7);
  CHECK(request.ports == std::vector{HostPort::same(8080), HostPort::same(8081)});
  CHECK(request.lifetime == state::Lifetime::descriptor);
  CHECK_FALSE(request.interactive);
  CHECK_FALSE(request.timeout.has_value());
  CHECK(to_ports(request.ports) == ports({8080, 8081}));
}

TEST_CASE("addresses of the services") {
  const auto with = [](std::vector<std::string> texts) {
    return Options{{"addresses", sdbus::Variant(std::move(texts))}};
  };
  const auto request = read_request(7, ports({8080, 8081, 8082}), with({"127.0.0.2", "", "127.0.0.1"}));
  CHECK(request.ports ==
        std::vector{HostPort::parse("127.0.0.2:8080"), HostPort::same(8081), HostPort::same(8082)});
  CHECK(to_addresses(request.ports) == std::vector<std::string>{"127.0.0.2", "127.0.0.1", "127.0.0.1"});
  CHECK(refusal(7, ports({8080}), with({"127.0.0.2", ""})) ==
        "option 'addresses' has 2 addresses for 1 ports");
  for (const char* text : {"10.0.0.1", "::1", "0.0.0.0", "localhost", "127.0.0.2:80"})
    CHECK(refusal(7, ports({8080}), with({text})) ==
          "option 'addresses': '" + std::string(text) + "' is not an address of 127.0.0.0/8");
  CHECK(refusal(7, ports({8080}), with({"127.255.255.255"})).find("broadcast") != std::string::npos);
  CHECK(refusal(7, {{"tcp", 80, 8080}, {"tcp", 80, 8080}}, with({"127.0.0.2", "127.0.0.3"}))
            .find("cannot lead to both 127.0.0.2:8080 and 127.0.0.3:8080") != std::string::npos);
}

TEST_CASE("every option") {
  const auto request = read_request(7, ports({8080}),
                                    {{"interactive", sdbus::Variant(true)},
                                     {"ifname", sdbus::Variant(std::string("br-1"))},
                                     {"gateway", sdbus::Variant(std::string("10.0.0.1"))},
                                     {"host-gateway", sdbus::Variant(std::string("172.17.0.1"))},
                                     {"sources", sdbus::Variant(std::vector<std::string>{"10.0.0.2"})},
                                     {"lifetime", sdbus::Variant(std::string("persistent"))},
                                     {"timeout", sdbus::Variant(std::uint64_t{90})},
                                     {"label", sdbus::Variant(std::string("mine"))},
                                     {"require-listener", sdbus::Variant(true)},
                                     {"watch-listener", sdbus::Variant(true)}});
  CHECK(request.interactive);
  CHECK(request.ifname == "br-1");
  CHECK(request.gateway == Ipv4::parse("10.0.0.1"));
  CHECK(request.host_gateway == Ipv4::parse("172.17.0.1"));
  CHECK(request.sources == std::vector{Ipv4::parse("10.0.0.2").value()});
  CHECK(request.lifetime == state::Lifetime::persistent);
  CHECK(request.timeout == std::chrono::seconds{90});
  CHECK(request.label == "mine");
  CHECK(request.require_listener);
  CHECK(request.watch_listener);
}

TEST_CASE("an Ethernet address among the sources") {
  const auto sources = [](std::vector<std::string> texts) {
    return Options{{"sources", sdbus::Variant(std::move(texts))}};
  };
  const auto alone = read_request(7, ports({1}), sources({"02:00:5E:10:00:ff"}));
  CHECK(alone.mac == Mac::parse("02:00:5e:10:00:ff"));
  CHECK(alone.sources.empty());
  const auto both = read_request(7, ports({1}), sources({"10.0.0.2", "02:00:5e:10:00:ff"}));
  CHECK(both.mac);
  CHECK(both.sources.size() == 1);
  const auto said = [&](std::vector<std::string> texts) {
    return refusal(7, ports({1}), sources(std::move(texts)));
  };
  CHECK(said({"02:00:5e:10:00:ff", "02:00:5e:10:00:fe"}).find("more than one") != std::string::npos);
  CHECK(said({"ff:ff:ff:ff:ff:ff"}).find("group") != std::string::npos);
  CHECK(said({"02:00:5e:10:00"}).find("neither") != std::string::npos);
}

TEST_CASE("an unknown argument is refused by name") {
  for (const auto& key : option_keys())
    CHECK(refusal(7, ports({1}), {{key, sdbus::Variant(3.5)}}).find(key) != std::string::npos);
  CHECK(refusal(7, ports({1}), {{"force", sdbus::Variant(true)}}).find("force") != std::string::npos);
  CHECK(refusal(0, ports({1})).find("ifindex") != std::string::npos);
  CHECK(refusal(-1, ports({1})).find("ifindex") != std::string::npos);
  CHECK(refusal(7, {}).find("port") != std::string::npos);
  CHECK(refusal(7, ports({0})).find("greater than zero") != std::string::npos);
  CHECK(refusal(7, PortList(1025, {"tcp", 1, 1})).find("too many") != std::string::npos);
  CHECK(refusal(7, {{"sctp", 1, 1}}).find("sctp") != std::string::npos);
  CHECK(refusal(7, {{"tcp", 1, 2}, {"tcp", 1, 3}}).find('1') != std::string::npos);
}
