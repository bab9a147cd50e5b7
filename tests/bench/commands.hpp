// The subcommands of the load generator; each prints to stdout and throws on failure.
#pragma once

#include <string_view>
#include <vector>

namespace hostnet::bench {

using Arguments = std::vector<std::string_view>;

/// `server [--netns NAME] ADDRESS:PORT...`: serves until killed. Prints "listening PORT..." once ready.
/// Endpoints after --netns are opened in that namespace, so one process serves several hosts.
void run_server(const Arguments& arguments);

/// `client METRIC ADDRESS:PORT SECONDS`: one measurement with its warm-up, printed as one JSON object. METRIC
/// is check, upload, download, request, request32, request256 (these with latencies), connect (8 at once),
/// connect32 or burst (512 connects at once); or one of two that only load the path for SECONDS after their
/// line of output: hold (2,000 connections) and stall (a download that the client does not read).
void run_client(const Arguments& arguments);

/// `spawn-time [--until-line] -- COMMAND... [+ COMMAND...]`: starts the commands one after the other and
/// prints the milliseconds to the last one's exit. With --until-line there is one command: the time to its
/// first line of output is printed, then it runs until a line arrives on stdin, gets SIGTERM, and the time to
/// its exit is printed.
void run_spawn_time(const Arguments& arguments);

}  // namespace hostnet::bench
