// Asks each library for its version, where it has a function for that.
#include "cli/versions.hpp"

#include "core/library.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <utility>

namespace hostnet::cli {
namespace {

using Ask = std::string (*)(const Library& library);

std::string ask_curl(const Library& library) {
  const char* (*curl_version)() = nullptr;  // "libcurl/7.88.1 OpenSSL/3.0.17 …"
  library.find("curl_version", curl_version);
  const std::string text = curl_version();
  const auto begin = text.find('/') + 1;
  return text.substr(begin, text.find(' ') - begin);
}

std::string ask_ssh(const Library& library) {
  const char* (*ssh_version)(int least) = nullptr;  // "0.10.6/openssl/zlib"
  library.find("ssh_version", ssh_version);
  const std::string text = ssh_version(0);
  return text.substr(0, text.find('/'));
}

std::string ask_nl(const Library& library) {
  std::string out;
  for (const char* const part : {"nl_ver_maj", "nl_ver_min", "nl_ver_mic"}) {
    const int* number = nullptr;
    library.find(part, number);
    out += fmt::format("{}{}", out.empty() ? "" : ".", *number);
  }
  return out;
}

LibraryVersion found(const char* name, const char* use, std::vector<const char*> sonames, Ask ask = nullptr) {
  try {
    const Library library(
        {.sonames = std::move(sonames), .name = name, .code = Errc::not_found, .hint = "install it"});
    const auto file = library.file();
    return {.name = name, .use = use, .version = ask != nullptr ? ask(library) : "", .file = file};
  } catch (const Error&) {
    return {.name = name, .use = use, .version = {}, .file = {}};
  }
}

}  // namespace

std::vector<LibraryVersion> library_versions() {
  return {
      found("libnl", "native path", {"libnl-3.so.200"}, ask_nl),
      found("libip4tc", "native path, iptables", {"libip4tc.so.2"}),
      found("libnftables", "native path, nftables", {"libnftables.so.1"}),
      found("libsystemd", "helper path", {"libsystemd.so.0"}),
      found("libssh", "ssh path", {"libssh.so.4"}, ask_ssh),
      found("libcurl", "engine", {"libcurl.so.4", "libcurl-gnutls.so.4"}, ask_curl),
  };
}

}  // namespace hostnet::cli
