// Format: per file, a 512-byte header and the content, padded to 512 bytes; two zero blocks at the end.
#include "core/tar.hpp"

#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <array>

namespace hostnet {
namespace {

constexpr std::size_t kBlock = 512;

struct Entry {
  std::string_view path;  // relative
  unsigned mode = 0644;
  std::size_t size = 0;
};

// Position of the slash that splits a path of more than 100 bytes into prefix (155) and name (100); 0: no
// split.
std::size_t cut_of(std::string_view path) {
  if (path.size() <= 100) return 0;
  const auto cut = path.find('/', path.size() - 101);
  if (cut == std::string_view::npos || cut > 155 || cut + 1 == path.size())
    throw Error(Errc::invalid_argument,
                fmt::format("the path {} is too long for a tar archive", quote(path)));
  return cut;
}

void add_head(std::string& tar, const Entry& entry) {
  std::array<char, kBlock> head{};
  const auto put = [&head](std::size_t at, std::string_view text) {
    text.copy(head.data() + at, text.size());
  };
  const auto cut = cut_of(entry.path);
  put(0, cut == 0 ? entry.path : entry.path.substr(cut + 1));
  put(100, fmt::format("{:07o}", entry.mode & 07777U));
  put(108, "0000000");  // owner: root
  put(116, "0000000");  // group: root
  put(124, fmt::format("{:011o}", entry.size));
  put(136, "00000000000");  // modification time: 1970
  head[156] = '0';          // regular file
  put(257, std::string_view("ustar\0"
                            "00",
                            8));
  if (cut != 0) put(345, entry.path.substr(0, cut));
  put(148, "        ");  // the checksum counts its own field as blanks
  unsigned sum = 0;
  for (const char byte : head) sum += static_cast<unsigned char>(byte);
  put(148, fmt::format("{:06o}", sum));
  head[154] = '\0';
  tar.append(head.data(), head.size());
}

void check_path(const std::string& path) {
  for (const auto part : split(path, '/'))
    if (part == "..") throw Error(Errc::invalid_argument, fmt::format("{} contains '..'", quote(path)));
}

}  // namespace

std::string make_tar(const std::vector<TarFile>& files) {
  std::string tar;
  for (const auto& file : files) {
    check_path(file.path);
    const std::string path = file.path.substr(file.path.find_first_not_of('/'));
    add_head(tar, {.path = path, .mode = file.mode, .size = file.content.size()});
    tar += file.content;
    tar.append((kBlock - file.content.size() % kBlock) % kBlock, '\0');
  }
  tar.append(2 * kBlock, '\0');
  return tar;
}

}  // namespace hostnet
