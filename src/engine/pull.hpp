// Pulls an image: its name in the request, and the stream of JSON objects that reports the progress.
#pragma once

#include "engine/containers.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace hostnet::engine {

/// The name of an image for POST /images/create. Without a tag the engine would pull all tags.
struct ImageName {
  std::string repository;  ///< "registry.example:5000/team/app"
  std::string tag;         ///< "3.19", or a digest: "sha256:…". Default: "latest".

  /// @throws Error{invalid_argument} with the reason if it is none.
  static ImageName parse(std::string_view reference);
};

/// The layers of a pull, by the engine's reports on each.
class PullTally {
 public:
  void add(const std::string& layer, std::string_view status, std::optional<std::int64_t> current,
           std::optional<std::int64_t> total);
  /// "2 of 5 layers, 12 MB of 40 MB"; empty before the first layer.
  [[nodiscard]] std::string text() const;

 private:
  struct Layer {
    std::int64_t current = 0;
    std::int64_t total = 0;
    bool done = false;
  };
  std::map<std::string, Layer> layers_;
};

/// Shows one line in place of the last; an empty one ends it.
using PullDisplay = std::function<void(std::string_view line)>;

/// For the command on a terminal: every pull of this process shows its progress there. Without a display the log
/// has a warning a minute, because the wait needs an explanation. Call before any other thread starts.
void set_pull_display(PullDisplay display);

/// Decides when the progress of one pull is told again.
class PullReport {
 public:
  using Clock = std::chrono::steady_clock;
  PullReport(std::string reference, Clock::time_point begin)
      : reference_(std::move(reference)), last_(begin) {}
  /// The line to tell now, or nullopt.
  std::optional<std::string> due(const PullTally& tally, bool on_display, Clock::time_point now);

 private:
  std::string reference_;
  Clock::time_point last_;
  bool first_ = true;
};

/// Tells the progress of one pull: on the display, or in the log.
class PullTeller {
 public:
  explicit PullTeller(std::string reference);
  PullTeller(const PullTeller&) = delete;
  PullTeller& operator=(const PullTeller&) = delete;
  ~PullTeller();
  void tell(const PullTally& tally);

 private:
  PullReport report_;
  bool told_ = false;
};

/// The next step after the engine refused a pull with these words.
std::string pull_hint(std::string_view reference, std::string_view words, const char* command = "docker");

/// Takes the answer in pieces of any size; passes on one line for each object.
class PullReader {
 public:
  /// The sink may be empty and must outlive the reader.
  PullReader(std::string reference, const ProgressSink& progress)
      : reference_(std::move(reference)), progress_(progress) {}

  /// @throws Error{engine_error} when the pull fails, with the engine's message, and for invalid input; also
  /// what the sink throws.
  void feed(std::string_view piece);
  /// Call at the end. @throws as feed().
  void finish();
  [[nodiscard]] const PullTally& tally() const { return tally_; }

 private:
  void take_line();

  std::string reference_;
  const ProgressSink& progress_;
  PullTally tally_;
  std::string line_;  // The beginning of an incomplete object; each object has its own line.
};

}  // namespace hostnet::engine
