// Two counts and two digests for each stream.
#include "engine/followed.hpp"

namespace hostnet::engine {

void Followed::digest(std::uint64_t& state, std::string_view piece) noexcept {
  constexpr std::uint64_t prime = 0x100000001b3;
  for (const char byte : piece) state = (state ^ static_cast<unsigned char>(byte)) * prime;
}

void Followed::take(Stream stream, std::string_view piece) {
  auto& known = one(stream);
  known.size += piece.size();
  digest(known.digest, piece);
  sink_(stream, piece);
}

void Followed::take_again(Stream stream, std::string_view piece) {
  auto& known = one(stream);
  const auto before = piece.substr(0, known.size - known.size_again);
  known.size_again += before.size();
  digest(known.digest_again, before);
  piece.remove_prefix(before.size());
  if (!piece.empty() && known.digest_again == known.digest) sink_(stream, piece);
}

}  // namespace hostnet::engine
