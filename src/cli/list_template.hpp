// The templates of `list --format`: text with members of a lease's JSON in braces, "{id}\\t{owner.pid}". Pure.
#pragma once

#include "cli/listing.hpp"
#include "cli/output.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hostnet::cli {

class ListTemplate {
 public:
  /// "{{" and "}}" are braces; "\\t", "\\n" and "\\\\" a tab, a line end and a backslash.
  /// @throws Error{invalid_argument} naming the field that was probably meant.
  static ListTemplate parse(std::string_view text);

  /// A member that this lease does not have is empty; elements of a list are apart by commas.
  [[nodiscard]] Text render(const ListedLease& lease) const;

 private:
  struct Piece {
    Text plain;
    std::string field;  ///< Empty: `plain`.
  };
  std::vector<Piece> pieces_;
};

/// Every name that may stand in braces.
const std::vector<std::string>& list_fields();

}  // namespace hostnet::cli
