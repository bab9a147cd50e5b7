// The Engine API calls that load, find and remove images.
#pragma once

#include "core/deadline.hpp"
#include "engine/client.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hostnet::engine {

/// An image as the engine describes it.
struct Image {
  std::string id;                   ///< "sha256:…", or the digits alone.
  std::vector<std::string> tags;    ///< "alpine:3.19"; Podman completes them: "localhost/alpine:3.19".
  std::vector<std::string> layers;  ///< The digests of its layers' archives; empty in a list.
  std::map<std::string, std::string> labels;
};

/// The image calls of one engine. The client must outlive it. Not thread-safe. @throws Error as Client's
/// calls.
class Images {
 public:
  explicit Images(Client& client) : client_(client) {}

  /// Loads an archive as `docker save` writes it. Returns what the engine said, on one line: it reports some
  /// failures with status 200, so look for the image afterwards.
  std::string load(std::string_view archive, Deadline deadline);
  /// nullopt for an image that is not here.
  std::optional<Image> find(std::string_view name_or_id, Deadline deadline);
  /// All images that carry every one of these labels ("name" or "name=value").
  std::vector<Image> list(const std::vector<std::string>& labels, Deadline deadline);
  /// Takes the tag away, and with the last one the image. Returns false if a container uses the image: it
  /// then keeps its last tag.
  bool untag(std::string_view tag, Deadline deadline);

 private:
  Client& client_;
};

/// From GET /images/NAME/json, and from GET /images/json. They throw as the functions of parse.hpp.
Image parse_image(std::string_view json, Deadline deadline = Deadline::never());
std::vector<Image> parse_images(std::string_view json, Deadline deadline = Deadline::never());

}  // namespace hostnet::engine
