// Makes the calls of engine::Containers on a real engine for test_containers.py. The command is the call's
// name, its only argument a JSON object with what the call takes, and "seconds" of time for it (20 unless
// told).
//
// `follow` and `pull` print a line of JSON for each piece or line as it comes, and null at the end.
#include "e2e/engine_tool.hpp"
#include "engine/containers.hpp"

#include <optional>

namespace {

using namespace hostnet;
using engine::Stream;
using nlohmann::json;
using Strings = std::vector<std::string>;

std::optional<Strings> strings_if_any(const json& from, const char* key) {
  return from.contains(key) ? std::optional(from.at(key).get<Strings>()) : std::nullopt;
}

engine::ContainerSpec container_spec(const json& from) {
  engine::ContainerSpec spec;
  spec.name = from.value("name", "");
  spec.image = from.value("image", "");
  spec.entrypoint = strings_if_any(from, "entrypoint");
  spec.command = strings_if_any(from, "command");
  spec.environment = from.value("environment", Strings{});
  spec.labels = from.value("labels", std::map<std::string, std::string>{});
  spec.network = from.value("network", "");
  spec.network_aliases = from.value("network_aliases", Strings{});
  spec.extra_hosts = from.value("extra_hosts", Strings{});
  for (const auto& port : from.value("ports", json::array()))
    spec.ports.push_back({port.at(0), port.at(1), port.at(2)});
  spec.cap_drop = from.value("cap_drop", Strings{});
  spec.cap_add = from.value("cap_add", Strings{});
  spec.sysctls = from.value("sysctls", std::map<std::string, std::string>{});
  spec.no_new_privileges = from.value("no_new_privileges", false);
  spec.auto_remove = from.value("auto_remove", false);
  spec.init = from.value("init", false);
  spec.open_stdin = from.value("open_stdin", false);
  return spec;
}

json of(const engine::ContainerSummary& container) {
  return {{"id", container.id},
          {"name", container.name},
          {"image", container.image},
          {"state", container.state},
          {"labels", container.labels}};
}

void print(const json& line) {
  std::puts(line.dump().c_str());
  std::fflush(stdout);
}

json run(engine::Client& client, const std::string& command, const test::Arguments& arguments) {
  engine::Containers containers(client);
  const auto given = json::parse(arguments.at(0));
  const auto deadline =
      Deadline::after(std::chrono::milliseconds(static_cast<int>(1000 * given.value("seconds", 20.0))));
  const std::string id = given.value("id", "");
  if (command == "create") return containers.create(container_spec(given), deadline);
  if (command == "start") return containers.start(id, deadline), json();
  if (command == "stop")
    return containers.stop(id, std::chrono::seconds(given.at("grace")), deadline), json();
  if (command == "kill") return containers.kill(id, given.at("signal").get<std::string>(), deadline), json();
  if (command == "remove") return containers.remove(id, deadline);
  if (command == "wait") return containers.wait(id, deadline);
  if (command == "tail") return containers.last_output(id, given.at("lines"), deadline);
  if (command == "follow") {
    const auto sink = [](Stream stream, std::string_view piece) {
      print({stream == Stream::out ? "out" : "err", piece});
    };
    return containers.follow_output(id, sink, deadline), json();
  }
  if (command == "exec") {
    const auto result = containers.exec(id,
                                        {.command = given.at("command"),
                                         .user = given.value("user", ""),
                                         .environment = given.value("environment", Strings{}),
                                         .working_dir = given.value("working_dir", "")},
                                        deadline);
    return {{"exit_code", result.exit_code}, {"out", result.out}, {"err", result.err}};
  }
  if (command == "list") {
    auto all = json::array();
    for (const auto& container : containers.list(given.at("labels"), deadline)) all.push_back(of(container));
    return all;
  }
  const auto reference = given.at("image").get<std::string>();
  if (command == "has_image") return containers.has_image(reference, deadline);
  if (command == "pull")
    return containers.pull(
               reference, [](std::string_view line) { print(line); }, deadline),
           json();
  throw Error(Errc::invalid_argument, "unknown command " + command);
}

}  // namespace

int main(int argc, char** argv) { return test::engine_tool(argc, argv, run); }
