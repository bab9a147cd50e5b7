// The calls: one request each, except exec, which takes three.
#include "engine/containers.hpp"

#include "core/log.hpp"
#include "core/strings.hpp"
#include "engine/container_json.hpp"
#include "engine/conversation.hpp"
#include "engine/cutoff.hpp"
#include "engine/followed.hpp"
#include "engine/pull.hpp"
#include "engine/registry_login.hpp"
#include "engine/transport.hpp"
#include "engine/url.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <thread>
#include <utility>

namespace hostnet::engine {
namespace {

// Poll interval: the engine notices the end of a command a little later than the end of its output.
constexpr std::chrono::milliseconds kExecPoll{10};
constexpr std::string_view kExecStart = R"({"Detach":false,"Tty":false})";
// Silence after which we check whether the container has ended. Doubles with each check.
constexpr std::chrono::seconds kSilence{1};
constexpr std::chrono::seconds kLongestSilence{8};
constexpr std::chrono::seconds kLook{2};  // time limit of a check

// While output is followed: whether more of it may come. Checks the container's state after a silence.
class MoreToCome {
 public:
  MoreToCome(const Address& engine, std::string_view id, const Followed& followed, Deadline deadline)
      : client_(engine), id_(id), followed_(followed), deadline_(deadline) {}

  bool operator()() {
    if (std::exchange(known_, followed_.size()) != followed_.size()) {
      pause_ = kSilence;
      next_ = Deadline::after(pause_);
    }
    if (!next_.expired()) return true;
    pause_ = std::min(pause_ * 2, kLongestSilence);
    next_ = Deadline::after(pause_);
    try {
      const auto limit = Deadline::after(std::min<std::chrono::milliseconds>(kLook, deadline_.remaining()));
      const auto state = client_.container(id_, limit).state;
      ended_ = state == "exited" || state == "stopped" || state == "dead";
    } catch (const Error& error) {
      ended_ = error.code() == Errc::not_found;  // the followed request reports any other error
    }
    return !ended_;
  }
  [[nodiscard]] bool ended() const noexcept { return ended_; }

 private:
  Client client_;  // The other Client is busy with the followed request.
  std::string id_;
  const Followed& followed_;
  std::size_t known_ = 0;
  Deadline deadline_;
  std::chrono::seconds pause_ = kSilence;
  Deadline next_ = Deadline::after(kSilence);
  bool ended_ = false;
};

}  // namespace

Transport& Containers::transport() { return *client_.transport_; }

std::string Containers::path(std::string_view rest, Deadline deadline) {
  return fmt::format("{}/{}", client_.dialect(deadline).docker, rest);
}

std::string Containers::of_container(std::string_view id, std::string_view rest, Deadline deadline) {
  return path(fmt::format("containers/{}{}", path_segment(id), rest), deadline);
}

std::string Containers::create(const ContainerSpec& spec, Deadline deadline) {
  ImageName::parse(spec.image);  // before the engine says so in its own words
  const auto request = create_request(spec);
  auto where = path("containers/create", deadline);
  if (!spec.name.empty()) where += "?name=" + query_value(spec.name);
  return parsed(transport().post(where, request, deadline), parse_id);
}

void Containers::init(std::string_view id, Deadline deadline) {
  const auto& libpod = client_.dialect(deadline).libpod;
  if (libpod.empty()) throw Error(Errc::engine_error, "this engine starts a container in one step only");
  transport().post(fmt::format("{}/containers/{}/init", libpod, path_segment(id)), {}, deadline);
}

void Containers::start(std::string_view id, Deadline deadline) {
  transport().post(of_container(id, "/start", deadline), {}, deadline);
}

void Containers::stop(std::string_view id, std::chrono::seconds grace, Deadline deadline) {
  // A negative number would mean no limit.
  const auto seconds = std::max(std::chrono::seconds{0}, grace).count();
  transport().post(of_container(id, fmt::format("/stop?t={}", seconds), deadline), {}, deadline);
}

void Containers::kill(std::string_view id, std::string_view signal, Deadline deadline) {
  transport().post(of_container(id, "/kill?signal=" + query_value(signal), deadline), {}, deadline);
}

bool Containers::remove(std::string_view id, Deadline deadline) {
  const Undoing undoing;
  // Podman's compatible call waits ten seconds after SIGTERM. Its own call, which spells `v` as `volumes`,
  // takes a timeout of 0.
  const auto& [docker, libpod] = client_.dialect(deadline);
  const auto where = fmt::format("{}/containers/{}?force=true&v=true&volumes=true&timeout=0",
                                 libpod.empty() ? docker : libpod, path_segment(id));
  try {
    transport().remove(where, deadline);
    return true;
  } catch (const Error& error) {
    const bool going = error.code() == Errc::conflict &&
                       std::string_view(error.what()).find("already in progress") != std::string_view::npos;
    if (error.code() == Errc::not_found || going) return false;
    throw;
  }
}

int Containers::wait(std::string_view id, Deadline deadline) {
  return parsed(transport().post(of_container(id, "/wait", deadline), {}, deadline), parse_exit_code);
}

void Containers::unpack(std::string_view id, std::string_view folder, std::string_view archive,
                        Deadline deadline) {
  transport().put(of_container(id, "/archive?path=" + query_value(folder), deadline), "application/x-tar",
                  archive, deadline);
}

Output Containers::output(std::string_view id, Deadline deadline) {
  Output output;
  Demultiplexer stream([&](Stream which, std::string_view piece) {
    if (output.out.size() + output.err.size() + piece.size() > kLargestBody)
      throw Error(Errc::engine_error, "the output of the container grew too large");
    (which == Stream::out ? output.out : output.err) += piece;
  });
  transport().get(of_container(id, "/logs?stdout=1&stderr=1", deadline), deadline,
                  [&](std::string_view piece) { stream.feed(piece); });
  stream.finish();
  return output;
}

std::string Containers::last_output(std::string_view id, int lines, Deadline deadline) {
  const auto query = fmt::format("/logs?stdout=1&stderr=1&tail={}", std::max(0, lines));
  return parsed(transport().get(of_container(id, query, deadline), deadline), [](std::string_view body) {
    std::string output;
    Demultiplexer stream([&](Stream, std::string_view piece) { output += piece; });
    stream.feed(body);
    stream.finish();
    return output;
  });
}

void Containers::follow_output(std::string_view id, const OutputSink& sink, Deadline deadline) {
  const auto logs = of_container(id, "/logs?stdout=1&stderr=1", deadline);
  const auto follow = [&](Demultiplexer& stream, const StillWanted& still_wanted) {
    transport().get(
        logs + "&follow=1", deadline, [&](std::string_view piece) { stream.feed(piece); }, still_wanted);
  };
  // Podman may also miss the end altogether.
  const bool is_podman = client_.is_podman(deadline);
  Followed followed(sink);
  Demultiplexer stream([&](Stream which, std::string_view piece) { followed.take(which, piece); });
  MoreToCome more(client_.address(), id, followed, deadline);
  follow(stream, is_podman ? std::ref(more) : StillWanted());
  if (!more.ended()) stream.finish();
  bool taken = true;
  Demultiplexer again([&](Stream which, std::string_view piece) {
    taken = false;
    followed.take_again(which, piece);
    taken = true;
  });
  try {
    transport().get(logs, deadline, [&](std::string_view piece) { again.feed(piece); });
  } catch (const Error& error) {
    // An ended container may be removed at any time, and the followed output looked complete.
    if (!taken || (more.ended() && error.code() != Errc::not_found)) throw;
    log::debug("container {}: its output could not be read again: {}", id, error.what());
  }
}

void Containers::attach(std::string_view id, const AttachSpec& spec, Deadline deadline) {
  const auto streams = fmt::format("/attach?stream=1{}{}", spec.input >= 0 ? "&stdin=1" : "",
                                   spec.sink ? "&stdout=1&stderr=1" : "");
  Demultiplexer frames(spec.sink);
  BodySink sink;
  if (spec.sink && spec.tty) sink = [&](std::string_view piece) { spec.sink(Stream::out, piece); };
  if (spec.sink && !spec.tty) sink = [&](std::string_view piece) { frames.feed(piece); };
  const bool to_its_end =
      attach_to(client_.address(), of_container(id, streams, deadline), deadline,
                {.input = spec.input, .stop = spec.stop, .ready = spec.ready, .sink = sink});
  if (to_its_end) frames.finish();
}

void Containers::resize(std::string_view id, unsigned rows, unsigned columns, Deadline deadline) {
  transport().post(of_container(id, fmt::format("/resize?h={}&w={}", rows, columns), deadline), {}, deadline);
}

// Returns its path.
std::string Containers::make_exec(std::string_view id, const ExecSpec& spec, Deadline deadline) {
  const auto request = exec_request(spec);
  const auto made = transport().post(of_container(id, "/exec", deadline), request, deadline);
  return path("exec/" + path_segment(parsed(made, parse_id)), deadline);
}

OpenStream Containers::open_exec(std::string_view id, ExecSpec spec, Deadline deadline) {
  spec.input.emplace();
  return open_stream(client_.address(), make_exec(id, spec, deadline) + "/start", kExecStart, deadline);
}

ExecResult Containers::exec(std::string_view id, const ExecSpec& spec, Deadline deadline) {
  const auto exec = make_exec(id, spec, deadline);
  ExecResult result;
  Demultiplexer stream([&](Stream which, std::string_view piece) {
    if (result.out.size() + result.err.size() + piece.size() > kLargestBody)
      throw Error(Errc::engine_error, "the output of a command in the container grew too large");
    (which == Stream::out ? result.out : result.err) += piece;
  });
  const auto take = [&](std::string_view piece) { stream.feed(piece); };
  if (spec.input)
    converse(client_.address(), exec + "/start", kExecStart, *spec.input, deadline, take);
  else
    transport().post(exec + "/start", kExecStart, deadline, take);
  stream.finish();
  return finish_exec(exec, std::move(result), deadline);
}

ExecResult Containers::finish_exec(const std::string& exec, ExecResult result, Deadline deadline) {
  for (;;) {
    const auto state = parsed(transport().get(exec + "/json", deadline), parse_exec_state);
    result.exit_code = state.exit_code;
    if (!state.running) return result;
    std::this_thread::sleep_for(std::min(kExecPoll, deadline.remaining()));
  }
}

std::vector<ContainerSummary> Containers::list(const std::vector<std::string>& labels, Deadline deadline) {
  const auto filters = query_value(label_filter(labels));
  return parsed(transport().get(path("containers/json?all=1&filters=" + filters, deadline), deadline),
                parse_container_list);
}

bool Containers::has_image(std::string_view reference, Deadline deadline) {
  try {
    transport().get(path(fmt::format("images/{}/json", path_segment(reference)), deadline), deadline);
    return true;
  } catch (const Error& error) {
    if (error.code() == Errc::not_found) return false;
    throw;
  }
}

void Containers::pull(std::string_view reference, const ProgressSink& progress, Deadline deadline) {
  const auto image = ImageName::parse(reference);
  PullReader reader(std::string(reference), progress);
  const auto where = path(
      fmt::format("images/create?fromImage={}&tag={}", query_value(image.repository), query_value(image.tag)),
      deadline);
  PullTeller teller{std::string(reference)};
  const auto login = registry_auth(reference, deadline);
  try {
    const auto tell = [&] {  // also while the engine says nothing
      teller.tell(reader.tally());
      return true;
    };
    transport().post(
        where, {}, deadline,
        [&](std::string_view piece) {
          reader.feed(piece);
          tell();
        },
        tell, login.empty() ? std::string() : "X-Registry-Auth: " + login);
    reader.finish();
  } catch (const Error& error) {
    // The engine answers; what failed is between it and the registry.
    if ((error.code() != Errc::engine_error && error.code() != Errc::not_found) || !error.hint().empty())
      throw;
    const std::string what = error.what();
    const auto named = fmt::format("{} cannot be pulled: ", quote(reference));
    throw Error(error.code(), what.starts_with(named) ? what : named + what,
                pull_hint(reference, what, client_.command(deadline)));
  }
}

}  // namespace hostnet::engine
