// Makes and compares keys with libssh.
#include "path/ssh/key.hpp"

#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <string_view>

namespace hostnet::ssh {
namespace {

constexpr std::string_view kType = "ssh-ed25519 ";

std::string take_text(char* text) {
  const std::unique_ptr<char, FreeByTable<&Libssh::ssh_string_free_char>> owner(text);
  return text == nullptr ? std::string() : std::string(text);
}

}  // namespace

Key::Key(KeyHandle key) : key_(std::move(key)) {
  char* base64 = nullptr;
  if (Libssh::get().ssh_pki_export_pubkey_base64(key_.get(), &base64) != SSH_OK)
    throw Error(Errc::failure, "libssh cannot write a public key");
  public_line_ = fmt::format("{}{}", kType, take_text(base64));
}

Key Key::generate() {
  ssh_key made = nullptr;
  if (Libssh::get().ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &made) != SSH_OK)
    throw Error(Errc::failure, "libssh cannot make an Ed25519 key");
  return Key(KeyHandle(made));
}

std::string Key::private_text() const {
  char* text = nullptr;
  if (Libssh::get().ssh_pki_export_privkey_base64(key_.get(), nullptr, nullptr, nullptr, &text) != SSH_OK)
    throw Error(Errc::failure, "libssh cannot write a private key");
  auto out = take_text(text);
  if (!out.ends_with('\n')) out += '\n';
  return out;
}

bool is_public_key(ssh_key shown, const std::string& public_line) {
  const auto& lib = Libssh::get();
  ssh_key expected = nullptr;
  if (!public_line.starts_with(kType) ||
      lib.ssh_pki_import_pubkey_base64(public_line.c_str() + kType.size(), SSH_KEYTYPE_ED25519, &expected) !=
          SSH_OK)
    throw Error(Errc::invalid_argument, "the pinned host key is not an Ed25519 public key");
  const KeyHandle owner(expected);
  return lib.ssh_key_cmp(shown, expected, SSH_KEY_CMP_PUBLIC) == 0;
}

}  // namespace hostnet::ssh
