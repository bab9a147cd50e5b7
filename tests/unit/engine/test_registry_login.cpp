// Which login a file of docker or podman has for an image.
#include "core/base64.hpp"
#include "engine/json_reader.hpp"
#include "engine/registry_login.hpp"
#include "hostnet/error.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>

using namespace hostnet;
using engine::RegistryLogin;

namespace {

engine::LoginSource source_in(const std::string& text, std::string_view reference) {
  const auto tree = engine::parse_json(text);
  return engine::login_in(json::Reader(tree), reference);
}

// The user's name that the file has for the image; empty without a login.
std::string user_in(const std::string& text, std::string_view reference) {
  const auto login = source_in(text, reference).login;
  return login ? login->user : std::string();
}

std::string auths(const std::string& members) { return fmt::format(R"({{"auths":{{{}}}}})", members); }

}  // namespace

TEST_CASE("the registry of an image's name") {
  using engine::registry_of;
  CHECK(registry_of("alpine") == "docker.io");
  CHECK(registry_of("team/app:1") == "docker.io");
  CHECK(registry_of("docker.io/library/alpine") == "docker.io");
  CHECK(registry_of("index.docker.io/library/alpine") == "docker.io");
  CHECK(registry_of("localhost/app") == "localhost");
  CHECK(registry_of("127.0.0.1:5000/app") == "127.0.0.1:5000");
  CHECK(registry_of("registry.example/team/app@sha256:0") == "registry.example");
}

TEST_CASE("a login is found by the registry's host") {
  // dXNlcjpwYSU6c3M= is user:pa%:ss
  const auto one = auths(R"("registry.example":{"auth":"dXNlcjpwYSU6c3M="})");
  CHECK(source_in(one, "registry.example/app").login ==
        RegistryLogin{.user = "user", .secret = "pa%:ss", .identity_token = {}});
  CHECK_FALSE(source_in(one, "registry.example:5000/app").login);
  CHECK_FALSE(source_in(one, "evil.registry.example/app").login);
  CHECK_FALSE(source_in(one, "registry.example.evil/app").login);
  CHECK_FALSE(source_in(one, "app").login);
  CHECK(user_in(auths(R"("https://registry.example/v2/":{"auth":"dXNlcjpwYSU6c3M="})"),
                "registry.example/app") == "user");
  for (const char* const key :
       {"https://index.docker.io/v1/", "docker.io", "registry-1.docker.io", "index.docker.io/v1"}) {
    CAPTURE(key);
    const auto hub = auths(fmt::format(R"("{}":{{"auth":"dXNlcjpwYSU6c3M="}})", key));
    CHECK(user_in(hub, "alpine:3.19") == "user");
    CHECK_FALSE(source_in(hub, "quay.io/alpine").login);
  }
}

TEST_CASE("the key that says most of the image counts") {
  const auto some = auths(
      R"("r.example":{"username":"all","password":"x"},"r.example/team":{"username":"team","password":"x"},)"
      R"("r.example/team/app":{"username":"app","password":"x"},"docker.io/own":{"username":"own","password":"x"})");
  CHECK(user_in(some, "r.example/app") == "all");
  CHECK(user_in(some, "r.example/team/other:1") == "team");
  CHECK(user_in(some, "r.example/team/app:1") == "app");
  CHECK(user_in(some, "r.example/team/app2") == "team");
  CHECK(user_in(some, "r.example/teams/app") == "all");
  CHECK(user_in(some, "own/app") == "own");
  CHECK(user_in(some, "owner/app").empty());
}

TEST_CASE("helpers come before the file's own logins") {
  const std::string text = R"({"credsStore":"desktop","credHelpers":{"https://r.example/v2/":"own"},)"
                           R"("auths":{"r.example":{},"s.example":{"auth":"dXNlcjpwYSU6c3M="}}})";
  CHECK(source_in(text, "r.example/app").helper == "own");
  CHECK_FALSE(source_in(text, "r.example/app").login);
  CHECK(source_in(text, "s.example/app").helper == "desktop");
  CHECK(user_in(text, "s.example/app") == "user");
  CHECK(source_in("{}", "s.example/app").helper.empty());
}

TEST_CASE("entries that are none") {
  for (const char* const entry :
       {"{}", R"({"auth":""})", R"({"auth":"%%%"})", R"({"auth":"Og=="})", R"({"password":"x"})"}) {
    CAPTURE(entry);
    CHECK_FALSE(source_in(auths(fmt::format(R"("r.example":{})", entry)), "r.example/app").login);
  }
  CHECK(source_in(auths(R"("r.example":{"auth":"dXNlcg=="})"), "r.example/app").login ==
        RegistryLogin{.user = "user", .secret = {}, .identity_token = {}});
  CHECK(source_in(auths(R"("r.example":{"auth":"dTpwAAA="})"), "r.example/app").login->secret == "p");
  CHECK_THROWS_AS(source_in(R"({"auths":[]})", "r.example/app"), Error);
  CHECK_THROWS_AS(source_in(R"({"auths":{"r.example":7}})", "r.example/app"), Error);
  CHECK_THROWS_AS(source_in(R"({"credHelpers":{"r.example":7}})", "r.example/app"), Error);
}

TEST_CASE("the header has what the engine wants") {
  CHECK(engine::registry_header({.user = "u", .secret = "p\"", .identity_token = {}}, "r.example") ==
        to_base64url(R"({"password":"p\"","serveraddress":"r.example","username":"u"})"));
  CHECK(engine::registry_header({.user = {}, .secret = {}, .identity_token = "t"}, "docker.io") ==
        to_base64url(R"({"identitytoken":"t","serveraddress":"https://index.docker.io/v1/"})"));
}
