// Output that arrives twice is passed on once.
#include "engine/followed.hpp"

#include <doctest/doctest.h>

#include <string>

using hostnet::engine::Followed;
using hostnet::engine::Stream;

namespace {

struct Taken {
  std::string out;
  std::string err;
  Followed followed{
      [this](Stream stream, std::string_view piece) { (stream == Stream::out ? out : err) += piece; }};
};

}  // namespace

TEST_CASE("the missing end of each stream is passed on") {
  Taken taken;
  taken.followed.take(Stream::out, "one\n");
  taken.followed.take(Stream::out, "two\n");
  CHECK(taken.followed.size() == 8);
  for (const auto* piece : {"o", "ne\ntwo", "\nth", "ree\n"}) taken.followed.take_again(Stream::out, piece);
  taken.followed.take_again(Stream::err, "never seen\n");
  CHECK(taken.out == "one\ntwo\nthree\n");
  CHECK(taken.err == "never seen\n");
}

TEST_CASE("nothing is passed on twice") {
  Taken taken;
  taken.followed.take(Stream::err, "one\n");
  taken.followed.take_again(Stream::err, "one\n");
  CHECK(taken.err == "one\n");
}

TEST_CASE("a stream with dropped lines stays unchanged") {
  Taken taken;
  taken.followed.take(Stream::out, "one\nthree\n");
  taken.followed.take_again(Stream::out, "one\ntwo\nthree\nfour\n");
  CHECK(taken.out == "one\nthree\n");
}
