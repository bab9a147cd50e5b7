// What a shell is offered at each place of a command line.
#include "cli/commands.hpp"
#include "cli/completion.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

using namespace hostnet::cli;

namespace {

Completion at(const std::vector<std::string>& words) {
  static const auto grammar = make_grammar();
  return complete(grammar, words);
}

std::vector<std::string> offered(const std::vector<std::string>& words) {
  std::vector<std::string> out;
  for (const auto& candidate : at(words).words) out.push_back(candidate.word);
  return out;
}

bool offers(const std::vector<std::string>& words, const std::string& word) {
  const auto all = offered(words);
  return std::ranges::find(all, word) != all.end();
}

}  // namespace

TEST_CASE("the first word is a command") {
  std::vector<std::string> names;
  for (const auto& command : commands()) names.emplace_back(command.name);
  CHECK(offered({""}) == names);
  CHECK(offered({"re"}) == std::vector<std::string>{"release"});
  CHECK(at({"re"}).words.front().meaning == make_grammar().command("release")->summary);
  CHECK(offered({"--json", "insp"}) == std::vector<std::string>{"inspect"});
  CHECK(offered({"--engine", "insp"}).empty());  // the option's value
  CHECK(offered({"nonsense", ""}).empty());
  CHECK(offers({"help", "ex"}, "expose"));
}

TEST_CASE("an option is offered by each of its names, and once unless it may be repeated") {
  CHECK(offered({"expose", "8088", "--netw"}) == std::vector<std::string>{"--network"});
  CHECK(offers({"run", "-"}, "-p"));
  CHECK(offers({"run", "-"}, "--port"));
  CHECK(offers({"run", "-p", "8088", "--po"}, "--port"));
  CHECK_FALSE(offers({"expose", "--network", "web", "--n"}, "--network"));
  CHECK(offers({"-"}, "--json"));
  CHECK_FALSE(offers({"list", "--"}, "--network"));
  CHECK(offered({"expose", "8088", "--", "--netw"}).empty());
}

TEST_CASE("a value is offered behind a blank and behind an equals sign") {
  CHECK(at({"expose", "8088", "--network", "we"}).names == Names::networks);
  CHECK(at({"expose", "8088", "--network", "we"}).prefix.empty());
  CHECK(at({"expose", "8088", "--network=we"}).names == Names::networks);
  CHECK(at({"expose", "8088", "--network=we"}).prefix == "--network=");
  CHECK(at({"expose", "8088", "--network", "web", ""}).names == Names::none);
  CHECK(at({"run", "-p8088", "--image", "alpine", "--network", ""}).names == Names::networks);
  CHECK(at({"doctor", "--container", ""}).names == Names::containers);
  CHECK(at({"expose", "1", "--project", ""}).names == Names::projects);
  CHECK(at({"expose", "1", "--bridge", ""}).names == Names::bridges);
  CHECK(at({"list", "--config", ""}).names == Names::files);
  CHECK(at({"inspect", "1a"}).names == Names::leases);
  CHECK(at({"inspect", "1a2b3c4d", ""}).names == Names::none);
  CHECK(at({"release", "1a2b3c4d", ""}).names == Names::leases);
  CHECK(offered({"list", "--color", "a"}) == std::vector<std::string>{"auto", "always"});
  CHECK(offered({"list", "--color=n"}) == std::vector<std::string>{"--color=never"});
  CHECK(offered({"completion", "z"}) == std::vector<std::string>{"zsh"});
}

TEST_CASE("of paths in order, those before the last comma stay") {
  CHECK(offers({"expose", "1", "--via", ""}, "relay"));
  CHECK(at({"expose", "1", "--via", ""}).names == Names::none);
  CHECK(offered({"expose", "1", "--via", "relay,ss"}) == std::vector<std::string>{"relay,ssh"});
  CHECK(offered({"expose", "1", "--via=relay,re"}).empty());
  CHECK(offers({"expose", "1", "--via", ""}, "auto"));
  CHECK_FALSE(offers({"expose", "1", "--via", "relay,"}, "relay,auto"));
  CHECK(offers({"expose", "1", "--via", "relay,"}, "relay,native"));
  CHECK(offered({"expose", "1", "--via", "auto,"}).empty());
  CHECK(offered({"expose", "1", "--via=relay,ss"}) == std::vector<std::string>{"--via=relay,ssh"});
}

TEST_CASE("another program's command line is not ours") {
  CHECK(at({"run", "-p", "8088", "cu"}).names == Names::commands);
  CHECK(at({"run", "-p", "8088", "--", "cu"}).names == Names::commands);
  CHECK(at({"run", "-p", "8088", "curl", "-"}).names == Names::files);
  CHECK(offered({"run", "-p", "8088", "curl", "--js"}).empty());
  CHECK(offered({"run", "-p", "8088", "list", "--js"}).empty());
}

TEST_CASE("every value that is a name of something has a source of names") {
  const auto grammar = make_grammar();
  std::vector<std::string> found;
  for (const auto& command : grammar.commands)
    for (const auto& option : command.options) {
      const bool is_name = option.metavar == "NAME" || option.metavar == "LEASE" || option.metavar == "FILE";
      CHECK_MESSAGE((!is_name || names_for(option) != Names::none), command.name, " ", option.name());
      if (names_for(option) != Names::none) found.push_back(option.name());
    }
  // And none of the sources is for something that no longer exists.
  for (const std::string_view wanted : {"--network", "--container", "--project", "--bridge", "LEASE"})
    CHECK_MESSAGE(std::ranges::find(found, wanted) != found.end(), wanted);
}
