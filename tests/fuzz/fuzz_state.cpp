// Feeds arbitrary bytes as a lease record and as a journal: accepted input survives a round trip, refused
// input gives one kind of error.
#include "hostnet/error.hpp"
#include "lease/journal.hpp"
#include "lease/tunnel_record.hpp"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

using namespace hostnet;
using namespace hostnet::state;

namespace {

void require(bool promise) {
  if (!promise) std::abort();
}

void record(std::string_view text) {
  try {
    const auto record = tunnel_record_from_json(text);
    // Both become file names.
    require(is_token(record.id) && is_token(record.owner.token));
    require(record.via == "ssh" || record.via == "helper");
    require(tunnel_record_from_json(tunnel_record_to_json(record)) == record);
  } catch (const Error& error) {
    require(error.code() == Errc::state_corrupt);
  }
}

void journal(std::string_view text) {
  try {
    const auto held = from_json(text, "boot");
    for (const auto& lease : held.leases) require(is_token(lease.id) && is_token(lease.owner.token));
    require(from_json(to_json(held, "boot"), "boot") == held);
    auto changed = held;
    apply_changes(changed, to_json_change(held, {held.bridges, {}, held.firewall}));
    require(changed.leases.empty());
  } catch (const Error& error) {
    require(error.code() == Errc::state_corrupt);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  record(text);
  journal(text);
  return 0;
}
