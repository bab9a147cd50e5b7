// Faults of the command line, with the command's own grammar: each names the word, and what was meant.
#include "cli/commands.hpp"
#include "cli/help.hpp"
#include "cli/layout.hpp"
#include "cli/usage.hpp"
#include "core/join.hpp"
#include "core/strings.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

using namespace hostnet;
using namespace hostnet::cli;

namespace {

const Grammar& grammar() {
  static const Grammar whole = make_grammar();
  return whole;
}

Reading reading_of(const std::vector<std::string>& words, const std::string& via = "") {
  return read_words(words, grammar(), [&](const std::string& name) {
    return name == "TC_HOSTNET_VIA" ? std::optional(via) : std::nullopt;
  });
}

// What print_error() shows of the fault; empty if there is none. Words are split at blanks.
std::string fault(const std::string& line, const std::string& via = "") {
  std::vector<std::string> words;
  for (const auto word : split(line, ' '))
    if (!word.empty()) words.emplace_back(word);
  const auto reading = reading_of(words, via);
  if (!reading.fault) return {};
  CHECK(reading.fault->code() == Errc::invalid_argument);
  return reading.fault->what() + (reading.fault->hint().empty() ? "" : "; " + reading.fault->hint());
}

std::string passed_on(const std::vector<std::string>& words) {
  const auto reading = reading_of(words);
  CHECK_FALSE(reading.fault.has_value());
  return join(reading.words, "|");
}

}  // namespace

TEST_CASE("a good command line has no fault") {
  for (const char* line :
       {"expose 8088 --network web", "--json expose 8088 9090 --container api -d --timeout=90", "list",
        "-qv list", "run -p 8088 -p9090 -- curl -s http://x", "run -p 1 curl --json -x", "release --all",
        "release a b c", "doctor --container api --port 8088", "help", "help expose", "version", "--help",
        "expose --help", "-V", "watch --allow 3000 --allow 4000", "expose 1 --network web --label -",
        "list --color=never"}) {
    CAPTURE(line);
    CHECK(fault(line).empty());
  }
}

TEST_CASE("a mistyped word is named with the nearest one") {
  CHECK(fault("exposes 8088") == "unknown command 'exposes': did you mean 'expose'?");
  CHECK(fault("--json relaese --all") == "unknown command 'relaese': did you mean 'release'?");
  CHECK(fault("frobnicate").starts_with("unknown command 'frobnicate'; the commands are expose, run, watch"));
  CHECK(fault("expose 1 --netwrok web") == "unknown option '--netwrok': did you mean '--network'?");
  CHECK(fault("expose 1 --netwrok=web") == "unknown option '--netwrok': did you mean '--network'?");
  CHECK(fault("expose 1 -network web") == "unknown option '-network': did you mean '--network'?");
  CHECK(fault("expose 1 -netwrok web") == "unknown option '-netwrok': did you mean '--network'?");
  CHECK(fault("expose 1 --no_alias") == "unknown option '--no_alias': did you mean '--no-alias'?");
  CHECK(fault("expose 1 \u2013\u2013network web").find("a dash that is not '-'") != std::string::npos);
  CHECK(fault("expose 1 \u2014network web").ends_with("did you mean '--network'?"));
  CHECK(fault("doctor --prot 8088") == "unknown option '--prot': did you mean '--port'?");
  CHECK(fault("--verison") == "unknown option '--verison': did you mean '--version'?");
  CHECK(fault("--jsn list") == "unknown option '--jsn': did you mean '--json'?");
  CHECK(fault("expose 1 --unheard-of") == "unknown option '--unheard-of'; see: tc-hostnet expose --help");
  CHECK(fault("expose 1 -x") == "unknown option '-x'; see: tc-hostnet expose --help");
  CHECK(fault("expose 1 -dx").starts_with("unknown option '-x'"));
  CHECK(fault("list -1").starts_with("unknown option '-1'"));
}

TEST_CASE("an option of another command says whose it is") {
  CHECK(fault("list --network web") ==
        "list has no option '--network': it belongs to expose, run and doctor; see: tc-hostnet list --help");
  CHECK(fault("list --netwrok web")
            .starts_with("list has no option '--netwrok', nor '--network': it belongs to"));
  CHECK(fault("--network web expose 1") ==
        "option '--network' belongs after the command; tc-hostnet expose --network NAME");
  CHECK(fault("expose --port 8088").starts_with("expose has no option '--port'; give the PORT alone: "));
  CHECK(fault("expose --prot 8088")
            .starts_with("expose has no option '--prot', nor '--port'; give the PORT alone: "));
}

TEST_CASE("values where none belongs, and missing ones") {
  CHECK(fault("expose 1 --detach=5") == "--detach takes no value, but '5' is given; leave out '=5'");
  CHECK(fault("expose 1 --network") == "--network needs a NAME; see: tc-hostnet expose --help");
  CHECK(fault("expose 1 --network --detach").starts_with("--network needs a NAME, but '--detach' follows"));
  CHECK(fault("run --image -p 1 true").starts_with("--image needs an IMAGE, but '-p' follows"));
  CHECK(fault("--engine").starts_with("--engine needs an ADDRESS"));
  CHECK(fault("expose 1 --network a --network b") == "--network is given twice; give it once");
  CHECK(fault("expose 1 --network=").starts_with("--network needs a NAME, but an empty word is given"));
  CHECK(fault("list web") ==
        "list takes no argument: 'web' is one word too many; see: tc-hostnet list --help");
  CHECK(fault("inspect a b").starts_with("inspect takes one argument: 'b' is one word too many"));
  CHECK(fault("") == "no command is given; see: tc-hostnet --help");
  CHECK(fault("--json") == "no command is given; see: tc-hostnet --help");
  CHECK(fault("expose --network web") ==
        "expose needs a PORT; for example: sudo tc-hostnet expose 8088 --network web");
  CHECK(fault("inspect").starts_with("inspect needs a LEASE; for example: "));
  CHECK(fault("run true").starts_with("run needs --port PORT; for example: "));
}

TEST_CASE("a word that is none of the choices") {
  CHECK(fault("expose 1 --via natvie") == "--via cannot be 'natvie': did you mean 'native'?");
  CHECK(fault("expose 1 --firewall pf") == "--firewall cannot be 'pf'; it is auto, nftables or iptables");
  CHECK(fault("expose 1 --bridge b", "magic").starts_with("$TC_HOSTNET_VIA cannot be 'magic'; it is auto, "));
  CHECK(fault("expose 1 --bridge b --via ssh", "magic").empty());
  CHECK(fault("list", "magic").empty());
}

TEST_CASE("an order of paths: each fault has its line") {
  for (const char* good : {"auto", "relay", "relay,ssh", "native,helper,relay,ssh"}) {
    CAPTURE(good);
    CHECK(fault(fmt::format("expose 1 --bridge b --via {}", good)).empty());
    CHECK(fault(fmt::format("run -p 1 --via={} true", good)).empty());
    CHECK(fault(fmt::format("watch --via {}", good)).empty());
    CHECK(fault("expose 1 --bridge b", good).empty());
  }
  CHECK(fault("expose 1 --via relay,shs") == "--via cannot be 'shs': did you mean 'ssh'?");
  CHECK(fault("expose 1 --via Relay") == "--via cannot be 'Relay': did you mean 'relay'?");
  CHECK(
      fault("expose 1 --via relay:native") ==
      "--via cannot be 'relay:native'; it is auto, native, helper, ssh or relay, or several in the order to "
      "try: relay,ssh");
  CHECK(fault("expose 1 --via relay,").starts_with("--via cannot be ''; it is auto, "));
  CHECK(fault("expose 1 --via ssh,relay,ssh") == "--via: path ssh is named twice; name each path once");
  CHECK(fault("expose 1 --via auto,ssh") ==
        "--via: 'auto,ssh' has other paths beside auto; auto stands alone: it is native,helper,ssh,relay");
  CHECK(fault("expose 1 --via ssh --via relay") == "--via is given twice; give it once");
  CHECK(fault("watch", "relay,magic").starts_with("$TC_HOSTNET_VIA cannot be 'magic'; it is auto, "));
  CHECK(fault("run -p 1 true", "ssh,ssh").starts_with("$TC_HOSTNET_VIA: path ssh is named twice"));
}

TEST_CASE("the command of run keeps its own options, and run is known for each fault") {
  CHECK(passed_on({"run", "-p", "1", "curl", "--json", "-p"}) == "run|-p|1|--|curl|--json|-p");
  CHECK(passed_on({"run", "-p", "1", "--", "watch", "--help"}) == "run|-p|1|--|watch|--help");
  CHECK(passed_on({"expose", "1", "--label=--json", "--engine="}) == "expose|--label|--json|--engine||--|1");
  CHECK(passed_on({"help", "expose", "-v"}) ==
        "help|-v|--|expose");  // else the parser would run that command
  for (const char* line :
       {"run", "run --imgae x", "run -p", "--bogus run -p 1 true", "-z 5 run", "--bogus x run"}) {
    CAPTURE(line);
    std::vector<std::string> words;
    for (const auto word : split(std::string_view(line), ' ')) words.emplace_back(word);
    const auto reading = reading_of(words);
    CHECK(reading.fault.has_value());
    REQUIRE(reading.command != nullptr);
    CHECK(reading.command->name == "run");
  }
  CHECK(reading_of({"expose", "1", "--bridge", "run"}).command->name == "expose");
}

TEST_CASE("--json is known for each fault, and only the command's own") {
  const auto asks = [](const std::string& line) {
    std::vector<std::string> words;
    for (const auto word : split(line, ' ')) words.emplace_back(word);
    return reading_of(words).asks_for_json;
  };
  for (const char* line :
       {"--json", "--json relaese", "relaese --json", "expose 1 --bogus --json", "--json=1 list",
        "run -p 1 --imgae --json", "help lst --json", "--bogus x list --json"}) {
    CAPTURE(line);
    CHECK(asks(line));
  }
  for (const char* line : {"list", "expose 1 --label --json", "run -p 1 curl --json",
                           "run -p 1 -- curl --json", "--engine --json list", "list -- --json"}) {
    CAPTURE(line);
    CHECK_FALSE(asks(line));
  }
}

TEST_CASE("every command's help fits each width and shows what is common") {
  for (const std::size_t width : {40U, 80U, 120U}) {
    for (const auto& command : grammar().commands) {
      const auto text = help_text(grammar(), &command, width).str();
      CAPTURE(text);
      CHECK(text.find("Usage: tc-hostnet " + command.name) != std::string::npos);
      CHECK(text.find("--json") != std::string::npos);
      CHECK(text.find("Exit codes:") != std::string::npos);
      CHECK(text.find("Example") != std::string::npos);
      CHECK_FALSE(command.examples.empty());
      for (const char* type : {" TEXT ...", "UINT", "[]"}) CHECK(text.find(type) == std::string::npos);
      for (const auto line : split(text, '\n'))
        if (line.find("http") == std::string_view::npos && line.find("io.github") == std::string_view::npos)
          CHECK(Text(line).width() <= std::min<std::size_t>(width, 100));
      // Each option and argument is described, with the name of its value.
      for (const auto& option : command.options) {
        CHECK_FALSE(option.help.empty());
        CHECK(text.find(option.name() +
                        (option.metavar.empty() || option.is_positional() ? "" : " " + option.metavar)) !=
              std::string::npos);
      }
    }
    const auto overview = help_text(grammar(), nullptr, width);
    for (const auto line : split(std::string_view(overview.str()), '\n'))
      CHECK(Text(line).width() <= std::min<std::size_t>(width, 100));
  }
}
