// The JSON sent to create a container, and the values parsed from the answers.
#include "core/json.hpp"
#include "engine/container_json.hpp"
#include "hostnet/error.hpp"
#include "support/expect_error.hpp"
#include "support/text.hpp"

#include <doctest/doctest.h>

#include <functional>

using namespace hostnet;
using namespace hostnet::engine;
using test::code_of;
using test::contains;

namespace {

json::Value created(const ContainerSpec& spec) { return json::parse(create_request(spec)); }

// The message of the error that `parse` throws.
template <class Parser>
std::string refusal(Parser parse, std::string_view text) {
  try {
    static_cast<void>(parse(text, Deadline::never()));
  } catch (const Error& error) {
    CHECK(error.code() == Errc::engine_error);
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("an image alone leaves everything else to the engine") {
  CHECK(created({.image = "alpine"}) == json::parse(R"({"Image":"alpine","HostConfig":{}})"));
  CHECK(created({.image = "alpine", .entrypoint = std::vector<std::string>{}}) ==
        json::parse(R"({"Image":"alpine","Entrypoint":[],"HostConfig":{}})"));
}

TEST_CASE("every field of a description is where the engine expects it") {
  const ContainerSpec spec{
      .name = "web1",
      .image = "alpine:3.19",
      .entrypoint = std::vector<std::string>{"sh", "-c"},
      .command = std::vector<std::string>{"echo \"$A\""},
      .environment = {"A=1", "B=é"},
      .labels = {{"a", "1"}, {"b", ""}},
      .network = "web",
      .network_aliases = {"host.testcontainers.internal"},
      .extra_hosts = {"x.example:1.2.3.4"},
      .ports = {{.container = 22, .host_ip = "127.0.0.1"},
                {.container = 80, .host_ip = "127.0.0.1", .host = 8080},
                {.container = 80, .host_ip = "::1", .host = 8080}},
      .cap_drop = {"ALL"},
      .cap_add = {"SETUID"},
      .sysctls = {{"net.ipv4.tcp_syncookies", "0"}},
      .no_new_privileges = true,
      .auto_remove = true,
      .init = true,
      .open_stdin = true,
  };
  CHECK(created(spec) == json::parse(R"({
    "Image": "alpine:3.19", "Entrypoint": ["sh", "-c"], "Cmd": ["echo \"$A\""], "Env": ["A=1", "B=é"],
    "Labels": {"a": "1", "b": ""}, "OpenStdin": true, "ExposedPorts": {"22/tcp": {}, "80/tcp": {}},
    "HostConfig": {
      "NetworkMode": "web", "ExtraHosts": ["x.example:1.2.3.4"], "CapDrop": ["ALL"], "CapAdd": ["SETUID"],
      "Sysctls": {"net.ipv4.tcp_syncookies": "0"},
      "SecurityOpt": ["no-new-privileges"], "AutoRemove": true, "Init": true,
      "PortBindings": {"22/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}],
                       "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}, {"HostIp": "::1", "HostPort": "8080"}]}},
    "NetworkingConfig": {"EndpointsConfig": {"web": {"Aliases": ["host.testcontainers.internal"]}}}})"));
}

TEST_CASE("a container with as little as it needs") {
  const ContainerSpec spec{.image = "a",
                           .cap_drop = {"ALL"},
                           .no_new_privileges = true,
                           .user = "0:0",
                           .binds = {{"/run/s", "/socket"}, {"/data/hosts", "/hosts"}},
                           .read_only_root = true,
                           .no_log = true,
                           .no_selinux_label = true,
                           .userns = "host",
                           .memory = 1 << 26,
                           .most_processes = 64};
  CHECK(created(spec) == json::parse(R"({
    "Image": "a", "User": "0:0",
    "HostConfig": {
      "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges", "label=disable"], "ReadonlyRootfs": true, "UsernsMode": "host",
      "LogConfig": {"Type": "none"}, "Memory": 67108864, "PidsLimit": 64,
      "Mounts": [{"Type": "bind", "Source": "/run/s", "Target": "/socket"},
                 {"Type": "bind", "Source": "/data/hosts", "Target": "/hosts"}]}})"));
}

TEST_CASE("invalid descriptions are refused before sending") {
  for (const ContainerSpec& spec :
       {ContainerSpec{}, ContainerSpec{.image = "a", .network_aliases = {"b"}},
        ContainerSpec{.image = "a", .ports = {{.container = 0}}}, ContainerSpec{.image = "a\xff"}})
    CHECK(code_of([&] { create_request(spec); }) == Errc::invalid_argument);
  CHECK(code_of([] { exec_request({}); }) == Errc::invalid_argument);
  CHECK(code_of([] { exec_request({.command = {"\xc3"}}); }) == Errc::invalid_argument);
  CHECK(code_of([] { label_filter({"\xc3"}); }) == Errc::invalid_argument);
}

TEST_CASE("a command in a container") {
  CHECK(json::parse(exec_request({.command = {"id"}})) ==
        json::parse(R"({"Cmd":["id"],"AttachStdout":true,"AttachStderr":true})"));
  const ExecSpec all{.command = {"id", "-u"}, .user = "0", .environment = {"A=1"}, .working_dir = "/tmp"};
  CHECK(json::parse(exec_request(all)) ==
        json::parse(R"({"Cmd":["id","-u"],"AttachStdout":true,"AttachStderr":true,"User":"0","Env":["A=1"],)"
                    R"("WorkingDir":"/tmp"})"));
}

TEST_CASE("a filter for labels") {
  CHECK(label_filter({"a=b", "c"}) == R"({"label":["a=b","c"]})");
  CHECK(label_filter({}) == R"({"label":[]})");
}

TEST_CASE("an id") {
  CHECK(parse_id(
            R"({"Id":"abc0000000000000000000000000000000000000000000000000000000000000","Warnings":[]})") ==
        "abc" + std::string(61, '0'));
  CHECK(contains(refusal(parse_id, R"({"Id":""})"), "Id is empty"));
  for (const char* text : {"", "{}", "[]", R"({"Id":7})", R"({"Id":null})"})
    CHECK(refusal(parse_id, text) != "accepted");
  // Names, which requests also accept, and text that is not a single path segment.
  const std::string id(64, 'a');
  for (const std::string& other : {std::string("database"), std::string("abc"), id + "a", id.substr(1),
                                   id.substr(1) + "G", id.substr(1) + "/", "../" + id.substr(3)}) {
    CHECK(contains(refusal(parse_id, R"({"Id":")" + other + R"("})"), "not an id"));
    CHECK(
        contains(refusal(parse_container_list, R"([{"Id":")" + other + R"(","Labels":{}}])"), "[0].Id is "));
  }
}

TEST_CASE("a list of containers") {
  const auto list = parse_container_list(
      R"([{"Id":"1000000000000000000000000000000000000000000000000000000000000000","Names":["/other/alias","/web"],"Image":"alpine","State":"running","Labels":{"a":"1"}},)"
      R"({"Id":"2000000000000000000000000000000000000000000000000000000000000000","Names":null,"Labels":null},{"Id":"3000000000000000000000000000000000000000000000000000000000000000","Names":["plain"]}])");
  REQUIRE(list.size() == 3);
  CHECK(list[0].id == "1" + std::string(63, '0'));
  CHECK(list[0].name == "web");
  CHECK(list[0].image == "alpine");
  CHECK(list[0].state == "running");
  CHECK(list[0].labels == std::map<std::string, std::string>{{"a", "1"}});
  CHECK(list[1].name.empty());
  CHECK(list[1].labels.empty());
  CHECK(list[2].name == "plain");
  CHECK(parse_container_list("[]").empty());
  CHECK(contains(refusal(parse_container_list,
                         R"([{"Id":"1000000000000000000000000000000000000000000000000000000000000000"},{}])"),
                 "[1].Id is missing"));
  CHECK(contains(
      refusal(parse_container_list,
              R"([{"Id":"1000000000000000000000000000000000000000000000000000000000000000","Names":[7]}])"),
      "[0].Names[0]"));
  CHECK(contains(
      refusal(
          parse_container_list,
          R"([{"Id":"1000000000000000000000000000000000000000000000000000000000000000","Labels":{"a":7}}])"),
      "[0].Labels.a"));
  CHECK(refusal(parse_container_list, "{}") != "accepted");
}

TEST_CASE("the end of a command in a container") {
  CHECK(parse_exec_state(R"({"Running":true,"ExitCode":null})").running);
  CHECK(parse_exec_state(R"({"Running":true,"ExitCode":3})").exit_code == 0);
  CHECK_FALSE(parse_exec_state(R"({"Running":false,"ExitCode":3})").running);
  CHECK(parse_exec_state(R"({"Running":false,"ExitCode":3})").exit_code == 3);
  for (const char* text :
       {"{}", "[]", R"({"Running":0})", R"({"Running":false,"ExitCode":"3"})",
        R"({"Running":false,"ExitCode":1e99})", R"({"Running":false,"ExitCode":4294967296})"})
    CHECK(refusal(parse_exec_state, text) != "accepted");
}

TEST_CASE("the end of a container") {
  CHECK(parse_exit_code(R"({"StatusCode":137})") == 137);
  CHECK(parse_exit_code(R"({"StatusCode":0,"Error":{"Message":""}})") == 0);
  CHECK(parse_exit_code(R"({"StatusCode":0,"Error":null})") == 0);
  CHECK(refusal(parse_exit_code, R"({"StatusCode":0,"Error":{"Message":"it\nvanished"}})") == "it vanished");
  for (const char* text : {"{}", "0", R"({"StatusCode":"0"})", R"({"StatusCode":0,"Error":7})"})
    CHECK(refusal(parse_exit_code, text) != "accepted");
}

TEST_CASE("an Ethernet address is in both places where engines expect it") {
  ContainerSpec spec{.image = "alpine"};
  spec.network = "web";
  spec.mac = "02:00:00:00:00:07";
  const auto request = created(spec);
  const auto all = request.view();
  CHECK(all.find("MacAddress").text() == spec.mac);
  CHECK(all.find("NetworkingConfig").find("EndpointsConfig").find("web").find("MacAddress").text() ==
        spec.mac);
  spec.network.clear();
  CHECK(code_of([&] { create_request(spec); }) == Errc::invalid_argument);
}

TEST_CASE("a UDP port, and a health check") {
  ContainerSpec spec{.image = "alpine"};
  spec.ports = {{.container = 53, .host_ip = "", .host = 0, .protocol = Protocol::udp}};
  spec.health_check =
      HealthCheck{.command = {"test", "-e", "/x"}, .interval = std::chrono::milliseconds{200}};
  const auto request = created(spec);
  const auto check = request.view().find("Healthcheck");
  CHECK(request.view().find("ExposedPorts").find("53/udp").is_there());
  CHECK(check.find("Test").dump() == R"(["CMD","test","-e","/x"])");
  CHECK(check.find("Interval").integer() == 200'000'000);
}

TEST_CASE("a command gets standard input only if there is some") {
  ExecSpec spec{.command = {"cat"}, .user = {}, .environment = {}, .working_dir = {}};
  const auto none = json::parse(exec_request(spec));
  CHECK_FALSE(none.view().find("AttachStdin").is_there());
  spec.input = "";
  const auto some = json::parse(exec_request(spec));
  CHECK(some.view().find("AttachStdin").flag() == true);
}
