// The docker command's contexts, in its folder layout.
#include "engine/context.hpp"
#include "hostnet/error.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"
#include "support/text.hpp"
#include "unit/engine/environment.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

using namespace hostnet;
using engine::Address;
using test::contains;
using test::Variable;

namespace {

namespace fs = std::filesystem;

// A docker config folder, and an environment that names no other engine.
class Folder {
 public:
  [[nodiscard]] fs::path path() const { return dir_.path(); }

  void write(const fs::path& name, std::string_view text) const {
    fs::create_directories((path() / name).parent_path());
    std::ofstream(path() / name, std::ios::binary) << text;
  }

  /// `digest` is the folder's name; docker uses the SHA-256 of the context's name.
  void context(const std::string& digest, std::string_view name, std::string_view endpoint) const {
    write(fs::path("contexts/meta") / digest / "meta.json",
          std::string(R"({"Name":")") + std::string(name) +
              R"(","Metadata":{"Description":"x"},"Endpoints":{"docker":)" + std::string(endpoint) + "}}");
  }

 private:
  test::TempDir dir_;
  Variable config_{"DOCKER_CONFIG", dir_.path().string()};
  Variable context_{"DOCKER_CONTEXT", nullptr};
  Variable docker_{"DOCKER_HOST", nullptr};
  Variable container_{"CONTAINER_HOST", "unix:///run/c.sock"};  // found if there is no context
  Variable verify_{"DOCKER_TLS_VERIFY", nullptr};
  Variable certificates_{"DOCKER_CERT_PATH", nullptr};
};

std::string found() { return Address::find("").socket; }

}  // namespace

TEST_CASE("the order: --engine, DOCKER_HOST, DOCKER_CONTEXT, config.json, CONTAINER_HOST") {
  const Folder folder;
  CHECK(found() == "/run/c.sock");
  folder.context("aa", "one", R"({"Host":"unix:///run/one.sock","SkipTLSVerify":false})");
  folder.context("bb", "two", R"({"Host":"unix:///run/two.sock"})");
  CHECK(found() == "/run/c.sock");
  folder.write("config.json", R"({"auths":{},"currentContext":"one"})");
  CHECK(found() == "/run/one.sock");
  CHECK(Address::find("").from == "context one, by " + (folder.path() / "config.json").string());
  {
    const Variable context("DOCKER_CONTEXT", "two");
    CHECK(found() == "/run/two.sock");
    CHECK(Address::find("").from == "context two, by DOCKER_CONTEXT");
    CHECK(Address::find("/run/e.sock").socket == "/run/e.sock");
    const Variable docker("DOCKER_HOST", "unix:///run/d.sock");
    CHECK(found() == "/run/d.sock");
  }
  for (const char* none : {"default", ""}) {
    CAPTURE(none);
    folder.write("config.json", std::string(R"({"currentContext":")") + none + "\"}");
    CHECK(found() == "/run/c.sock");
  }
  folder.write("config.json", R"({"currentContext":"one"})");
  const Variable context("DOCKER_CONTEXT", "default");
  CHECK(found() == "/run/c.sock");
}

TEST_CASE("~/.docker if DOCKER_CONFIG is not set") {
  const Folder folder;
  folder.write(".docker/config.json", R"({"currentContext":"one"})");
  folder.write(".docker/contexts/meta/aa/meta.json",
               R"({"Name":"one","Endpoints":{"docker":{"Host":"unix:///run/one.sock"}}})");
  const Variable config("DOCKER_CONFIG", nullptr);
  const Variable home("HOME", folder.path().string());
  CHECK(found() == "/run/one.sock");
  const Variable homeless("HOME", nullptr);
  CHECK(found() == "/run/c.sock");
}

TEST_CASE("a missing context gives one line with a remedy") {
  const Folder folder;
  folder.context("aa", "one", R"({"Host":"unix:///run/one.sock"})");
  const Variable context("DOCKER_CONTEXT", "on\x1b");
  const auto error = test::error_of([] { Address::find(""); });
  CHECK(error.code() == Errc::not_found);
  CHECK(contains(error.what(), "DOCKER_CONTEXT"));
  CHECK(contains(error.what(), (folder.path() / "contexts" / "meta").string()));
  CHECK_FALSE(contains(error.what(), "\x1b"));
  CHECK(contains(error.what(), "; there are 'one'"));
  CHECK(contains(error.hint(), "did you mean 'one'?"));
  const Variable far("DOCKER_CONTEXT", "elsewhere");
  CHECK(contains(test::error_of([] { Address::find(""); }).hint(), "docker context ls"));
}

TEST_CASE("invalid contexts, and unrelated ones that do not matter") {
  const Folder folder;
  folder.write("contexts/meta/00/meta.json", "no JSON");
  folder.write("contexts/meta/01/meta.json", "[]");
  folder.write("contexts/meta/02/other.json", "{}");
  folder.write("contexts/meta/file", "");
  folder.context("aa", "good", R"({"Host":"unix:///run/good.sock"})");
  folder.context("bb", "number", R"({"Host":7})");
  folder.context("cc", "empty", R"({"Host":""})");
  folder.context("dd", "null", "null");
  folder.context("ee", "by-ssh", R"({"Host":"ssh://me@elsewhere"})");
  folder.context("ff", "garbage", R"({"Host":"nonsense"})");
  const auto code_of = [](const char* name) {
    const Variable context("DOCKER_CONTEXT", name);
    const auto error = test::error_of([] { Address::find(""); });
    CHECK(contains(error.what(), name));
    CHECK_FALSE(error.hint().empty());
    return error.code();
  };
  {
    const Variable context("DOCKER_CONTEXT", "good");
    CHECK(found() == "/run/good.sock");
  }
  {
    const Variable context("DOCKER_CONTEXT", "by-ssh");
    CHECK(found() == "ssh://me@elsewhere");
  }
  for (const char* name : {"number", "empty", "null"}) {
    CAPTURE(name);
    CHECK(code_of(name) == Errc::engine_unavailable);
  }
  CHECK(code_of("garbage") == Errc::invalid_argument);
  CHECK(code_of("../../aa") == Errc::not_found);
}

TEST_CASE("an unreadable config.json names no context") {
  const Folder folder;
  for (const char* text : {"", "{", "[]", R"({"currentContext":7})", R"({"currentContext":null})", "{}"}) {
    CAPTURE(text);
    folder.write("config.json", text);
    CHECK(found() == "/run/c.sock");
  }
  fs::remove(folder.path() / "config.json");
  fs::create_directory(folder.path() / "config.json");
  CHECK(found() == "/run/c.sock");
}

TEST_CASE("a context uses its own certificates, not the environment's") {
  const Folder folder;
  const Variable verify("DOCKER_TLS_VERIFY", "1");
  folder.context("aa", "far", R"({"Host":"tcp://engine.example:2376","SkipTLSVerify":false})");
  folder.context("bb", "blind", R"({"Host":"tcp://engine.example:2376","SkipTLSVerify":true})");
  const auto tls_of = [](const char* name) {
    const Variable context("DOCKER_CONTEXT", name);
    return Address::find("").tcp.value().tls;
  };
  CHECK_FALSE(tls_of("far"));
  CHECK(tls_of("blind") == engine::Tls{.verify = false});
  for (const char* digest : {"aa", "bb"})
    for (const char* name : {"ca.pem", "cert.pem", "key.pem"})
      folder.write(fs::path("contexts/tls") / digest / "docker" / name, "");
  const auto far = folder.path() / "contexts/tls/aa/docker";
  CHECK(tls_of("far") ==
        engine::Tls{.ca = far / "ca.pem", .cert = far / "cert.pem", .key = far / "key.pem", .verify = true});
  CHECK_FALSE(tls_of("blind")->verify);
  CHECK(tls_of("blind")->ca == folder.path() / "contexts/tls/bb/docker/ca.pem");
  fs::remove(far / "key.pem");
  CHECK(test::error_of([&] { tls_of("far"); }).code() == Errc::engine_unavailable);
}
