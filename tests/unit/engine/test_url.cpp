// Percent-encoding of values in a request's path and query.
#include "engine/url.hpp"
#include "hostnet/error.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cctype>

using namespace hostnet;

TEST_CASE("no byte of a name can leave its segment of the path") {
  CHECK(engine::path_segment("web_1-a.b~") == "web_1-a.b~");
  CHECK(engine::path_segment("a/b?c#d%2e") == "a%2Fb%3Fc%23d%252e");
  CHECK(engine::path_segment(".") == "%2E");
  CHECK(engine::path_segment("..") == "%2E%2E");
  CHECK(engine::path_segment("é\n\\") == "%C3%A9%0A%5C");
  CHECK_THROWS_AS(engine::path_segment(""), Error);
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const auto encoded = engine::path_segment(std::string(1, c) + "x");
    CHECK(encoded.find_first_of("/?#\\ \r\n\t;&$`'\"<>|*@:") == std::string::npos);
    CHECK((std::isalnum(byte) != 0 || std::string_view("-_~.").find(c) != std::string_view::npos ||
           encoded == fmt::format("%{:02X}x", byte)));
  }
}

TEST_CASE("a value in a query stays one value; it may be empty or consist of dots") {
  CHECK(engine::query_value(R"({"label":["a=b&c"]})") == "%7B%22label%22%3A%5B%22a%3Db%26c%22%5D%7D");
  CHECK(engine::query_value("").empty());
  CHECK(engine::query_value("..") == "..");
  CHECK(engine::query_value("a+b #") == "a%2Bb%20%23");
}
