// The archive, as tar(1) reads it.
#include "core/file.hpp"
#include "core/process.hpp"
#include "core/tar.hpp"
#include "hostnet/error.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>

using namespace hostnet;

TEST_CASE("tar unpacks what was packed") {
  const test::TempDir folder;
  const std::string deep = "/" + std::string(90, 'd') + "/" + std::string(95, 'e') + "/file";
  const std::vector<TarFile> files{{"/a", "", 0644},
                                   {"/etc/b", std::string(511, 'b'), 0600},
                                   {"/etc/c", std::string(512, 'c'), 0755},
                                   {deep, std::string(513, 'd') + '\0', 0644}};
  const auto done = run_process({"tar", "-x", "-C", folder.path().string()}, make_tar(files),
                                Deadline::after(std::chrono::seconds{10}));
  CHECK(done.errors.empty());
  REQUIRE(done.exit_code == 0);
  for (const auto& file : files) {
    const auto path = folder.path().string() + file.path;
    CHECK(read_file(path) == file.content);
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777U) == file.mode);
  }
}

TEST_CASE("it contains no folders, which would change the permissions of existing ones") {
  const auto tar = make_tar({{"/tmp/x", "x", 0644}});
  CHECK(tar.size() == 4 * 512);
  CHECK(tar.substr(0, 6) == "tmp/x" + std::string(1, '\0'));
}

TEST_CASE("invalid paths") {
  for (const auto& path : {std::string("/a/../../b"), std::string("/..") + "/x", "/" + std::string(101, 'x'),
                           "/" + std::string(160, 'x') + "/y" + std::string(100, 'z')}) {
    CAPTURE(path);
    CHECK(test::error_of([&] { make_tar({{path, "", 0644}}); }).code() == Errc::invalid_argument);
  }
}
