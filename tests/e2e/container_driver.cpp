// Drives the library's containers for test_container_*.py: reads one JSON object per line from standard input
// and answers each with one line of JSON. An Error gives {"error": code, "message": …}.
//
//   {"op": "start", "as": NAME, "image": …, "cmd": […], "host_ports": ["8088"], …}
//   {"op": "exec", "of": NAME, "words": […]}    and so on: see the table at the end
#include "hostnet/hostnet.hpp"

#include <nlohmann/json.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <tuple>

namespace {

using namespace hostnet;
using nlohmann::json;
using std::chrono::milliseconds;
using Strings = std::vector<std::string>;

std::map<std::string, Container> containers;
std::map<std::string, Strings> progress;

Path path_of(const std::string& name) {
  for (const auto path : {Path::native, Path::helper, Path::ssh, Path::relay})
    if (name == to_string(path)) return path;
  return Path::automatic;
}

ContainerPort port_of(const std::string& text) {
  const auto number = static_cast<std::uint16_t>(std::stoi(text));
  return text.ends_with("/udp") ? udp(number) : tcp(number);
}

template <class Value>
Value optional_at(const json& list, std::size_t at, Value otherwise) {
  return list.size() > at ? list.at(at).get<Value>() : otherwise;
}

WaitFor wait_for_of(const json& from) {
  const auto kind = from.at(0).get<std::string>();
  if (kind == "stdout") return WaitFor::message_on_stdout(from.at(1), optional_at(from, 2, 1U));
  if (kind == "stderr") return WaitFor::message_on_stderr(from.at(1), optional_at(from, 2, 1U));
  if (kind == "seconds") return WaitFor::seconds(from.at(1));
  if (kind == "exit") return from.size() > 1 ? WaitFor::exit(from.at(1).get<int>()) : WaitFor::exit();
  if (kind == "healthy") return WaitFor::healthy();
  if (kind == "http") return WaitFor::http(from.at(1), port_of(from.at(2)), optional_at(from, 3, 200));
  if (kind == "listening") return WaitFor::listening(port_of(from.at(1)));
  throw std::runtime_error("no such condition: " + kind);
}

GenericImage image_of(const json& from) {
  GenericImage image(from.value("image", "alpine"), from.value("tag", "3.19"));
  for (const auto& port : from.value("exposed", Strings{})) image.with_exposed_port(port_of(port));
  for (const auto& mapping : from.value("mapped", json::array()))
    image.with_mapped_port(mapping.at(0), port_of(mapping.at(1)));
  for (const auto& port : from.value("host_ports", Strings{})) {
    // By number too, for values that parse() would refuse before start() can.
    if (port.find_first_not_of("0123456789") == std::string::npos)
      image.with_exposed_host_port(static_cast<std::uint16_t>(std::stoi(port)));
    else
      image.with_exposed_host_port(HostPort::parse(port));
  }
  if (from.contains("entrypoint")) image.with_entrypoint(from.at("entrypoint"));
  if (from.contains("cmd")) image.with_cmd(from.at("cmd"));
  for (const auto& [name, value] : from.value("env", std::map<std::string, std::string>{}))
    image.with_env_var(name, value);
  if (from.contains("network")) image.with_network(from.at("network"));
  for (const auto& [name, address] : from.value("hosts", std::map<std::string, std::string>{}))
    image.with_host(name, address);
  if (from.contains("name")) image.with_container_name(from.at("name"));
  for (const auto& [name, value] : from.value("labels", std::map<std::string, std::string>{}))
    image.with_label(name, value);
  for (const auto& copy : from.value("copies", json::array()))
    image.with_copy_to(copy.at(0), copy.at(1).get<std::string>(), copy.at(2).get<unsigned>());
  for (const auto& copy : from.value("files", json::array()))
    image.with_copy_file_to(copy.at(0), copy.at(1).get<std::string>());
  if (from.contains("health")) image.with_health_check(from.at("health"), milliseconds{200});
  for (const auto& condition : from.value("wait_for", json::array()))
    image.with_wait_for(wait_for_of(condition));
  if (from.contains("timeout_ms")) image.with_startup_timeout(milliseconds{from.at("timeout_ms")});
  if (from.contains("path")) image.with_exposer(path_of(from.at("path")));
  if (from.contains("paths")) {
    ExposerOptions options;
    for (const auto& name : from.at("paths").get<Strings>()) options.paths.push_back(path_of(name));
    image.with_exposer(options);
  }
  if (from.value("never_pull", false)) image.with_pull_policy(PullPolicy::never);
  if (from.value("always_pull", false)) image.with_pull_policy(PullPolicy::always);
  if (from.value("reuse", false)) image.with_reuse();
  return image;
}

json start(const json& from) {
  const auto begin = std::chrono::steady_clock::now();
  auto container = image_of(from).start();
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  json out{{"id", container.id()},
           {"name", container.name()},
           {"ms", took.count()},
           {"via", to_string(container.exposed_via())}};
  containers.insert_or_assign(from.at("as").get<std::string>(), std::move(container));
  return out;
}

// Starts `count` containers at once, one thread each; container I gets its number in $NUMBER and its own host
// ports.
json start_many(const json& from) {
  const auto count = from.at("count").get<std::size_t>();
  const auto ports = from.at("ports_of").get<std::vector<Strings>>();
  std::vector<std::thread> threads;
  std::mutex mutex;
  json failures = json::array();
  for (std::size_t i = 0; i < count; ++i)
    threads.emplace_back([&, i] {
      try {
        auto one = from.at("each");
        one["host_ports"] = ports.at(i);
        one["env"] = {{"PORTS", ports.at(i).at(0) + " " + ports.at(i).at(1)}};
        auto container = image_of(one).start();
        const std::scoped_lock lock(mutex);
        containers.insert_or_assign(std::to_string(i), std::move(container));
      } catch (const std::exception& error) {
        const std::scoped_lock lock(mutex);
        failures.push_back(error.what());
      }
    });
  for (auto& thread : threads) thread.join();
  return {{"failures", failures}};
}

json drop_all(const json&) {
  std::vector<std::thread> threads;
  for (auto& [name, container] : containers)
    threads.emplace_back([&container = container] { const Container gone = std::move(container); });
  for (auto& thread : threads) thread.join();
  containers.clear();
  return {};
}

json exec(const json& from) {
  ExecCommand command;
  command.words = from.at("words").get<Strings>();
  if (from.contains("input")) command.input = from.at("input").get<std::string>();
  command.environment = from.value("env", std::map<std::string, std::string>{});
  command.working_dir = from.value("dir", "");
  command.user = from.value("user", "");
  command.timeout = milliseconds{from.value("timeout_ms", 20'000)};
  const auto result = containers.at(from.at("of")).exec(command);
  return {{"code", result.exit_code}, {"out", result.out}, {"err", result.err}};
}

json follow(const json& from) {
  json pieces = json::array();
  const auto until = from.value("until", "");
  std::string all;
  containers.at(from.at("of"))
      .follow_logs(
          [&](OutputStream stream, std::string_view piece) {
            all += piece;
            pieces.push_back({stream == OutputStream::out ? "out" : "err", std::string(piece)});
            return until.empty() || all.find(until) == std::string::npos;
          },
          milliseconds{from.value("timeout_ms", 20'000)});
  return pieces;
}

// Actions that a program may take in the consumer of a container's output: fork, and destroy that container.
json follow_and_destroy(const json& from) {
  const auto name = from.at("of").get<std::string>();
  int child_status = -1;
  containers.at(name).follow_logs(
      [&](OutputStream, std::string_view) {
        const auto child = ::fork();
        if (child == 0) {
          ::alarm(20);  // the child has no other threads, and must not wait for them
          containers.clear();
          ::_exit(0);
        }
        ::waitpid(child, &child_status, 0);
        std::ignore = containers.at(name).inspect();  // still there
        containers.erase(name);
        return true;
      },
      milliseconds{from.value("timeout_ms", 20'000)});
  return child_status;
}

Container& named(const json& from) { return containers.at(from.at("of")); }

const std::map<std::string, std::function<json(const json&)>> kOps{
    {"start", start},
    {"start_many", start_many},
    {"drop_all", drop_all},
    {"exec", exec},
    {"follow", follow},
    {"follow_and_destroy", follow_and_destroy},
    {"port4",
     [](const json& from) { return json(named(from).get_host_port_ipv4(port_of(from.at("port")))); }},
    {"port6",
     [](const json& from) { return json(named(from).get_host_port_ipv6(port_of(from.at("port")))); }},
    {"host", [](const json& from) { return json(named(from).get_host()); }},
    {"address", [](const json& from) { return json(named(from).get_bridge_ip_address()); }},
    {"logs",
     [](const json& from) {
       const auto logs = named(from).logs();
       return json{{"out", logs.out}, {"err", logs.err}};
     }},
    {"inspect", [](const json& from) { return json::parse(named(from).inspect()); }},
    {"expose",
     [](const json& from) {
       named(from).expose_host_port(HostPort::parse(from.at("port").get<std::string>()));
       return json{{"via", to_string(named(from).exposed_via())}};
     }},
    {"ports",
     [](const json& from) {
       json out = json::array();
       for (const auto& port : named(from).exposed_host_ports()) out.push_back(port.to_string());
       return out;
     }},
    {"wait", [](const json& from) { return json(named(from).wait(milliseconds{20'000})); }},
    {"stop",
     [](const json& from) {
       named(from).stop(std::chrono::seconds{from.value("grace", 10)});
       return json();
     }},
    {"remove",
     [](const json& from) {
       named(from).remove(std::chrono::seconds{from.value("grace", 10)});
       return json();
     }},
    {"drop",
     [](const json& from) {
       containers.erase(from.at("of").get<std::string>());
       return json();
     }},
};

json answer(const std::string& line) {
  try {
    const auto request = json::parse(line);
    return {{"result", kOps.at(request.at("op"))(request)}};
  } catch (const Error& error) {
    return {{"error", to_string(error.code())}, {"message", error.what()}, {"hint", error.hint()}};
  } catch (const std::exception& error) {
    return {{"error", "exception"}, {"message", error.what()}, {"hint", ""}};
  }
}

}  // namespace

int main() {
  set_log_sink([](LogLevel level, std::string_view line) {
    constexpr const char* names[] = {"debug", "info", "warning", "error"};
    std::fprintf(stderr, "%s: %.*s\n", names[static_cast<int>(level)], static_cast<int>(line.size()),
                 line.data());
  });
  for (std::string line; std::getline(std::cin, line);) {
    std::puts(answer(line).dump(-1, ' ', false, json::error_handler_t::replace).c_str());
    std::fflush(stdout);
  }
  drop_all({});
  return 0;
}
