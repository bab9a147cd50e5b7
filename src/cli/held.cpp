// Looking at the leases.
#include "cli/held.hpp"

#include "core/log.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <filesystem>

namespace hostnet::cli {

Deadline command_deadline() { return Deadline::after(std::chrono::seconds{30}); }

exposer::Ledger open_ledger(const Globals& globals) {
  return exposer::Ledger(state::runtime_dir(globals.runtime_dir));
}

state::Holdings look(exposer::Ledger& ledger) {
  std::error_code error;
  const bool there = std::filesystem::exists(ledger.folder(), error);
  if (error) throw Error::from_errno(fmt::format("look into {}", ledger.folder().string()), error.value());
  if (!there) return {};
  const auto journal = ledger.lock(command_deadline());
  state::Holdings held;
  ledger.reap(journal, held, command_deadline());
  journal.tidy(held);
  return held;
}

state::Holdings look_beside(exposer::Ledger& ledger, bool has_other) {
  try {
    return look(ledger);
  } catch (const Error& error) {
    if (error.code() != Errc::not_authorised || !has_other) throw;
    log::warn("leases on the native path are not shown: {}", error.what());
    return {};
  }
}

void throw_ambiguous(const std::string& id) {
  throw Error(Errc::invalid_argument, fmt::format("{} is the beginning of more than one lease id", quote(id)),
              "see them: tc-hostnet list");
}

const state::Lease& find_lease(const state::Holdings& holdings, const std::string& id) {
  const auto* const found = find_by_id(holdings.leases, id);
  if (found == nullptr)
    throw Error(Errc::not_found, fmt::format("there is no lease {}", quote(id)), "see them: tc-hostnet list");
  return *found;
}

}  // namespace hostnet::cli
