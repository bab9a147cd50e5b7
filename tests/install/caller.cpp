// A program in the style that docs/linking.md promises to keep compiling: it names the members that it sets.
// The test compiles it against the installed headers, and against headers whose structs have one more member.
#include <hostnet/hostnet.hpp>

#include <string>
#include <vector>

namespace {

hostnet::Exposure expose(const hostnet::StateCallback& on_state) {
  const auto exposer = hostnet::make_exposer({.path = hostnet::Path::native, .on_state = on_state});
  const auto same =
      exposer->expose({.target = hostnet::Target::bridge("br0"), .ports = {{.host = 1, .container = 2}}});
  const hostnet::Probe probe = exposer->probe();
  const std::vector<hostnet::ExposeRequest> requests{
      {.target = hostnet::Target::bridge("br0"), .ports = {hostnet::HostPort::same(80)}, .label = "one"},
      {.target = hostnet::Target::network("web"), .require_listener = probe.usable}};
  return std::move(exposer->expose_all(requests).front());
}

std::string run(const hostnet::Container& container, const std::vector<std::string>& words,
                const std::string& user) {
  const hostnet::ExecResult result = container.exec({.words = words, .user = user});
  // Compiled only: with g++ 12, a brace may stand for several things.
  const auto other_forms = [&] {
    container.exec({.words = {"id"}});
    container.exec({.words = {"id"}, .user = "nobody"});
    container.exec({"id"});
    container.exec({"id", "-u", user});
    container.exec(words);
  };
  static_cast<void>(other_forms);
  const hostnet::Logs logs = container.logs();
  return result.out + logs.err + std::to_string(container.get_host_port_ipv4({.number = 80}));
}

}  // namespace

int main() {
  const auto exposure = expose({});
  return run(hostnet::GenericImage("alpine").start(), {"true"}, exposure.id()).empty() ? 1 : 0;
}
