// RFC 4648: its test vectors (section 10), and what is no base64.
#include "core/base64.hpp"

#include <doctest/doctest.h>

#include <utility>

using namespace hostnet;

TEST_CASE("base64 is read with and without padding") {
  for (const auto& one : {std::pair{"", ""},
                          {"Zg==", "f"},
                          {"Zm8=", "fo"},
                          {"Zm9v", "foo"},
                          {"Zm9vYg==", "foob"},
                          {"Zm9vYmE=", "fooba"},
                          {"Zm9vYmFy", "foobar"},
                          {"Zg", "f"},
                          {"Zm8", "fo"},
                          {"+/8=", "\xfb\xff"}}) {
    CAPTURE(one.first);
    CHECK(from_base64(one.first) == one.second);
  }
  for (const char* const text : {"Z", "Zm9vY", "Zm8=x", "Zm 8", "-_8=", "Zg===", "Z\n=="}) {
    CAPTURE(text);
    CHECK_FALSE(from_base64(text));
  }
}

TEST_CASE("base64 for URLs has padding and no character that a URL reserves") {
  CHECK(to_base64url("").empty());
  CHECK(to_base64url("f") == "Zg==");
  CHECK(to_base64url("fo") == "Zm8=");
  CHECK(to_base64url("foo") == "Zm9v");
  CHECK(to_base64url("foobar") == "Zm9vYmFy");
  CHECK(to_base64url("\xfb\xff") == "-_8=");
}
