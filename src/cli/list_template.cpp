// Parses templates and fills them in.
#include "cli/list_template.hpp"

#include "cli/layout.hpp"
#include "core/nearest.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hostnet::cli {
namespace {

[[noreturn]] void refuse_template(const std::string& what, const std::string& hint) {
  throw Error(Errc::invalid_argument, "--format: " + what, hint);
}

std::string text_of(json::View value) {
  if (!value.is_there() || value.is_null()) return {};
  if (const auto text = value.text()) return std::string(*text);
  if (!value.is_list()) return value.dump();
  std::string out;
  for (const auto& element : value.elements()) out += (out.empty() ? "" : ",") + text_of(element);
  return out;
}

void check_field(const std::string& name) {
  const auto& fields = list_fields();
  if (std::ranges::find(fields, name) != fields.end()) return;
  const auto all = fmt::format("the fields are {}", list_of(fields));
  if (name.starts_with('.'))  // of Go's templates, as docker has them: {{.ID}}
    refuse_template(fmt::format("{} is a field of another kind of template", quote(name)),
                    "write {id}, in single braces; " + all);
  if (const auto meant = nearest(name, fields))
    refuse_template(fmt::format("unknown field {}: did you mean '{{{}}}'?", quote("{" + name + "}"), *meant),
                    "");
  refuse_template(fmt::format("unknown field {}", quote("{" + name + "}")), all);
}

}  // namespace

const std::vector<std::string>& list_fields() {
  static const std::vector<std::string> fields{
      "id",           "target",    "via",         "state",         "label",         "interface",
      "network",      "gateway",   "sources",     "unpinned",      "ports",         "created",
      "expires",      "owner.pid", "owner.uid",   "owner.command", "ifindex",       "gateways",
      "mac",          "alias_in",  "lifetime",    "sidecar",       "tunnel.state",  "tunnel.reason",
      "container_id", "bridge",    "relay.state", "relay.reason",  "relay.listens", "reason"};
  return fields;
}

ListTemplate ListTemplate::parse(std::string_view text) {
  ListTemplate out;
  std::string plain;
  const auto end_plain = [&] {
    if (!plain.empty()) out.pieces_.push_back({.plain = std::exchange(plain, {}), .field = {}});
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (c == '\\' && (next == 't' || next == 'n')) {
      end_plain();
      out.pieces_.push_back({.plain = next == 't' ? tab() : join_lines({"", ""}), .field = {}});
      ++i;
    } else if (c == '\\' && next == '\\') {
      plain += c;
      ++i;
    } else if (c == '\t' || c == '\n') {
      end_plain();
      out.pieces_.push_back({.plain = c == '\t' ? tab() : join_lines({"", ""}), .field = {}});
    } else if (c == '{' && text.substr(i).starts_with("{{.")) {
      check_field(std::string(text.substr(i + 2, text.find('}', i) - i - 2)));
    } else if ((c == '{' || c == '}') && next == c) {
      plain += c;
      ++i;
    } else if (c == '{') {
      const auto close = text.find('}', i);
      if (close == std::string_view::npos)
        refuse_template(fmt::format("{} has no closing brace", quote(text.substr(i))),
                        "write {{ for a brace");
      end_plain();
      out.pieces_.push_back({.plain = {}, .field = std::string(text.substr(i + 1, close - i - 1))});
      check_field(out.pieces_.back().field);
      i = close;
    } else if (c == '}') {
      refuse_template("a closing brace without an opening one", "write }} for a brace");
    } else {
      plain += c;
    }
  }
  end_plain();
  const char* const example = "for example: --format '{id} {target}'";
  if (out.pieces_.empty()) refuse_template("it is empty", example);
  // The same words for each lease tell nothing: another template's braces, or a mistyped name of a format.
  if (std::ranges::all_of(out.pieces_, [](const Piece& piece) { return piece.field.empty(); })) {
    const auto meant = nearest(text, {"json", "table"});
    refuse_template(fmt::format("{} names no field of a lease", quote(text)),
                    meant ? fmt::format("did you mean {}?", quote(*meant)) : example);
  }
  return out;
}

Text ListTemplate::render(const ListedLease& lease) const {
  Text line;
  for (const auto& piece : pieces_) {
    if (piece.field.empty()) {
      line += piece.plain;
    } else if (piece.field == "ports") {
      line += Text(lease.ports);
    } else {
      auto value = lease.object.view();
      for (const auto name : split(std::string_view(piece.field), '.')) value = value.find(name);
      line += Text(text_of(value));
    }
  }
  return line;
}

}  // namespace hostnet::cli
