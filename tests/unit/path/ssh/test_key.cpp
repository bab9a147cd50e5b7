// Keys that live in memory only.
#include "path/ssh/key.hpp"
#include "support/expect_error.hpp"

#include <doctest/doctest.h>

using namespace hostnet;
using namespace hostnet::ssh;

TEST_CASE("each key is another one, in the forms that sshd reads") {
  const auto one = Key::generate(), other = Key::generate();
  CHECK(one.public_line() != other.public_line());
  CHECK(one.public_line().starts_with("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"));
  CHECK(one.public_line().find_first_of("\r\n") == std::string::npos);
  CHECK(one.private_text().starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"));
  CHECK(one.private_text().ends_with("-----END OPENSSH PRIVATE KEY-----\n"));
}

TEST_CASE("a key is told from another by its public line") {
  const auto one = Key::generate(), other = Key::generate();
  CHECK(is_public_key(one.handle(), one.public_line()));
  CHECK_FALSE(is_public_key(one.handle(), other.public_line()));
  for (const auto* line : {"", "ssh-ed25519", "ssh-ed25519 ", "ssh-ed25519 !", "ssh-rsa AAAA"})
    CHECK_MESSAGE(test::error_of([&] { is_public_key(one.handle(), line); }).code() == Errc::invalid_argument,
                  line);
}
