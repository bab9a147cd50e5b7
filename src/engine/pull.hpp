// Pulling an image: how one is named in the request, and the stream of JSON objects that tells how it goes.
#pragma once

#include "engine/containers.hpp"

#include <string>
#include <string_view>

namespace hostnet::engine {

/// An image as POST /images/create wants it named. Without a tag the engine would pull all that there are.
struct ImageName {
  std::string repository;  ///< "registry.example:5000/team/app"
  std::string tag;         ///< "3.19", or a digest: "sha256:…". "latest" when nothing is told.

  /// @throws Error{invalid_argument} when repository or tag would be empty.
  static ImageName parse(std::string_view reference);
};

/// Takes the answer in pieces that are cut anywhere; hands on one line for each object in it.
class PullReader {
 public:
  /// Refers to the sink, which may be empty and must outlive it.
  PullReader(std::string reference, const ProgressSink& progress)
      : reference_(std::move(reference)), progress_(progress) {}

  /// @throws Error{engine_error} when the image cannot be pulled, in the engine's words, and for what makes
  /// no sense; also what the sink throws.
  void feed(std::string_view piece);
  /// To be called at the end. @throws as feed().
  void finish();

 private:
  void take_line();

  std::string reference_;
  const ProgressSink& progress_;
  std::string line_;  // The object that has begun; each has a line of its own.
};

}  // namespace hostnet::engine
