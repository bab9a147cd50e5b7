// Against the examples of FIPS 180-4, and at the lengths where the padding changes.
#include "core/process.hpp"
#include "core/sha256.hpp"

#include <doctest/doctest.h>

using namespace hostnet;

TEST_CASE("digests that the standard and its validation program publish") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256_hex(std::string(1'000'000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("every length around the end of a chunk, as sha256sum(1) sees it") {
  for (const std::size_t length : {1U, 54U, 55U, 56U, 63U, 64U, 65U, 119U, 120U, 128U}) {
    std::string data;
    for (std::size_t i = 0; i < length; ++i) data += static_cast<char>(i * 37 + 200);
    const auto theirs = run_process({"sha256sum"}, data, Deadline::after(std::chrono::seconds{10}));
    REQUIRE(theirs.exit_code == 0);
    CHECK(theirs.output.substr(0, 64) == sha256_hex(data));
  }
}
