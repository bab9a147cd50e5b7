// Calls engine::Containers on a real engine for test_containers.py. The command is the call's name; its only
// argument is a JSON object with the call's arguments and "seconds", its deadline (default 20).
//
// `follow` and `pull` print a line of JSON for each piece or line as it comes, and null at the end.
#include "core/json_reader.hpp"
#include "e2e/engine_tool.hpp"
#include "engine/containers.hpp"

#include <optional>

namespace {

using namespace hostnet;
using engine::Stream;
using json::Reader;
using Strings = std::vector<std::string>;

[[noreturn]] void complain(const std::string& what) { throw Error(Errc::invalid_argument, what); }

std::optional<Strings> strings_if_any(const Reader& from, const char* key) {
  const auto list = from.maybe(key);
  return list ? std::optional(list->strings()) : std::nullopt;
}

Strings strings(const Reader& from, const char* key) { return strings_if_any(from, key).value_or(Strings{}); }

bool flag(const Reader& from, const char* key) {
  const auto flag = from.maybe(key);
  return flag && flag->boolean();
}

// [container's port, address of the host, port of the host]
engine::Publish publish_of(const Reader& from) {
  std::vector<Reader> parts;
  from.each_element([&](const Reader& part) { parts.push_back(part); });
  return {parts.at(0).number<std::uint16_t>(), parts.at(1).string(), parts.at(2).number<std::uint16_t>()};
}

engine::ContainerSpec container_spec(const Reader& from) {
  engine::ContainerSpec spec;
  spec.name = from.string_or_empty("name");
  spec.image = from.string_or_empty("image");
  spec.entrypoint = strings_if_any(from, "entrypoint");
  spec.command = strings_if_any(from, "command");
  spec.environment = strings(from, "environment");
  spec.labels = from.strings_or_empty("labels");
  spec.network = from.string_or_empty("network");
  spec.network_aliases = strings(from, "network_aliases");
  spec.extra_hosts = strings(from, "extra_hosts");
  if (const auto ports = from.maybe("ports"))
    ports->each_element([&](const Reader& port) { spec.ports.push_back(publish_of(port)); });
  spec.cap_drop = strings(from, "cap_drop");
  spec.cap_add = strings(from, "cap_add");
  spec.sysctls = from.strings_or_empty("sysctls");
  spec.no_new_privileges = flag(from, "no_new_privileges");
  spec.auto_remove = flag(from, "auto_remove");
  spec.init = flag(from, "init");
  spec.open_stdin = flag(from, "open_stdin");
  return spec;
}

json::Value of(const engine::ContainerSummary& container) {
  return {{"id", container.id},
          {"name", container.name},
          {"image", container.image},
          {"state", container.state},
          {"labels", container.labels}};
}

void print(const json::Value& line) {
  std::puts(line.dump().c_str());
  std::fflush(stdout);
}

json::Value run(engine::Client& client, const std::string& command, const test::Arguments& arguments) {
  engine::Containers containers(client);
  const auto document = json::read(arguments.at(0), {}, complain);
  const Reader given(document);
  const auto seconds = document.root.view().find("seconds").real().value_or(20);
  const auto deadline = Deadline::after(std::chrono::milliseconds(static_cast<int>(1000 * seconds)));
  const auto id = given.string_or_empty("id");
  if (command == "create") return json::Value(containers.create(container_spec(given), deadline));
  if (command == "start") return containers.start(id, deadline), json::Value();
  if (command == "stop")
    return containers.stop(id, std::chrono::seconds(given.at("grace").number<int>()), deadline),
           json::Value();
  if (command == "kill") return containers.kill(id, given.at("signal").string(), deadline), json::Value();
  if (command == "remove") return json::Value(containers.remove(id, deadline));
  if (command == "wait") return json::Value(containers.wait(id, deadline));
  if (command == "tail")
    return json::Value(containers.last_output(id, given.at("lines").number<int>(), deadline));
  if (command == "follow") {
    const auto sink = [](Stream stream, std::string_view piece) {
      print(json::array({stream == Stream::out ? "out" : "err", piece}));
    };
    return containers.follow_output(id, sink, deadline), json::Value();
  }
  if (command == "exec") {
    const auto result = containers.exec(id,
                                        {.command = given.at("command").strings(),
                                         .user = given.string_or_empty("user"),
                                         .environment = strings(given, "environment"),
                                         .working_dir = given.string_or_empty("working_dir")},
                                        deadline);
    return {{"exit_code", result.exit_code}, {"out", result.out}, {"err", result.err}};
  }
  if (command == "list") {
    auto all = json::array();
    for (const auto& container : containers.list(given.at("labels").strings(), deadline))
      all.push_back(of(container));
    return all;
  }
  const auto reference = given.at("image").string();
  if (command == "has_image") return json::Value(containers.has_image(reference, deadline));
  if (command == "pull")
    return containers.pull(
               reference, [](std::string_view line) { print(json::Value(line)); }, deadline),
           json::Value();
  throw Error(Errc::invalid_argument, "unknown command " + command);
}

}  // namespace

int main(int argc, char** argv) { return test::engine_tool(argc, argv, run); }
