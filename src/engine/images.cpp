// The calls: one request each.
#include "engine/images.hpp"

#include "engine/container_json.hpp"
#include "engine/json_reader.hpp"
#include "engine/parse.hpp"
#include "engine/transport.hpp"
#include "engine/url.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

namespace hostnet::engine {
namespace {

std::vector<std::string> strings_or_none(const JsonReader& object, const char* key) {
  const auto list = object.maybe(key);
  return list ? list->strings() : std::vector<std::string>{};
}

}  // namespace

Image parse_image(std::string_view text, Deadline deadline) {
  const auto tree = parse_json(text, deadline);
  const JsonReader json(tree);
  Image image;
  image.id = json.at("Id").string();
  image.tags = strings_or_none(json, "RepoTags");
  if (const auto filesystem = json.maybe("RootFS")) image.layers = strings_or_none(*filesystem, "Layers");
  if (const auto config = json.maybe("Config")) image.labels = config->strings_or_empty("Labels");
  return image;
}

std::vector<Image> parse_images(std::string_view text, Deadline deadline) {
  const auto tree = parse_json(text, deadline);
  std::vector<Image> images;
  JsonReader(tree).each_element([&](const JsonReader& entry) {
    Image image;
    image.id = entry.at("Id").string();
    image.tags = strings_or_none(entry, "RepoTags");
    image.labels = entry.strings_or_empty("Labels");
    images.push_back(std::move(image));
  });
  return images;
}

std::string Images::load(std::string_view archive, Deadline deadline) {
  const auto path = client_.dialect(deadline).docker + "/images/load?quiet=1";
  return one_line(client_.transport_->post_body(path, "application/x-tar", archive, deadline).body, 300);
}

std::optional<Image> Images::find(std::string_view name_or_id, Deadline deadline) {
  const auto path =
      fmt::format("{}/images/{}/json", client_.dialect(deadline).docker, path_segment(name_or_id));
  try {
    return parsed(client_.transport_->get(path, deadline), parse_image);
  } catch (const Error& error) {
    if (error.code() == Errc::not_found) return std::nullopt;
    throw;
  }
}

std::vector<Image> Images::list(const std::vector<std::string>& labels, Deadline deadline) {
  const auto path = fmt::format("{}/images/json?filters={}", client_.dialect(deadline).docker,
                                query_value(label_filter(labels)));
  return parsed(client_.transport_->get(path, deadline), parse_images);
}

bool Images::untag(std::string_view tag, Deadline deadline) {
  const auto path = fmt::format("{}/images/{}", client_.dialect(deadline).docker, path_segment(tag));
  try {
    client_.transport_->remove(path, deadline);
    return true;
  } catch (const Error& error) {
    if (error.code() == Errc::not_found) return true;  // another process was faster
    if (error.code() == Errc::conflict) return false;
    throw;
  }
}

}  // namespace hostnet::engine
