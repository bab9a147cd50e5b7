// Common part of the programs that expose an engine::Client to the end-to-end tests:
//
//   PROGRAM SOCKET COMMAND [ARGUMENT…]
//
// prints the command's result as JSON; an Error as {"error": code, "message": …, "hint": …} with exit
// status 1.
#pragma once

#include "core/json.hpp"
#include "engine/client.hpp"
#include "hostnet/error.hpp"

#include <cstdio>
#include <string>
#include <vector>

namespace test {

using Arguments = std::vector<std::string>;

/// The body of main(); `run(client, command, arguments)` returns the JSON.
template <class Run>
int engine_tool(int argc, char** argv, Run run) {
  const Arguments arguments(argv + 1, argv + argc);
  try {
    hostnet::engine::Client client({arguments.at(0), "--engine"});
    const hostnet::json::Value seen =
        run(client, arguments.at(1), Arguments(arguments.begin() + 2, arguments.end()));
    std::puts(seen.dump().c_str());
    return 0;
  } catch (const hostnet::Error& error) {
    const hostnet::json::Value told{
        {"error", to_string(error.code())}, {"message", error.what()}, {"hint", error.hint()}};
    std::puts(told.dump().c_str());
    return 1;
  }
}

}  // namespace test
