// Pulls an image: its name in the request, and the stream of JSON objects that reports the progress.
#pragma once

#include "engine/containers.hpp"

#include <string>
#include <string_view>

namespace hostnet::engine {

/// The name of an image for POST /images/create. Without a tag the engine would pull all tags.
struct ImageName {
  std::string repository;  ///< "registry.example:5000/team/app"
  std::string tag;         ///< "3.19", or a digest: "sha256:…". Default: "latest".

  /// @throws Error{invalid_argument} when repository or tag would be empty.
  static ImageName parse(std::string_view reference);
};

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

 private:
  void take_line();

  std::string reference_;
  const ProgressSink& progress_;
  std::string line_;  // The beginning of an incomplete object; each object has its own line.
};

}  // namespace hostnet::engine
