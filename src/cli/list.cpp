// `tc-hostnet list`: shows the leases of this network namespace, of the helper, and of this user's records.
#include "cli/command.hpp"
#include "cli/held.hpp"
#include "cli/layout.hpp"
#include "cli/lease_watch.hpp"
#include "cli/list_template.hpp"
#include "cli/listing.hpp"
#include "cli/output.hpp"
#include "core/strings.hpp"
#include "hostnet/error.hpp"
#include "lease/tunnel_record.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <utility>

namespace hostnet::cli {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLeastBetween{200};
constexpr milliseconds kRedraw{60'000};  // on a terminal, for the ages

struct ListOptions {
  std::string format;
  bool watch = false;
};

enum class Shape { table, json, ids, by_template };

struct ListForm {
  Shape shape = Shape::table;
  std::optional<ListTemplate> filled;
};

// As list_rows() heads them. What the label and the gateway say, `inspect` says too.
const std::vector<Column>& columns() {
  using Kind = Column::Kind;
  static const std::vector<Column> all{
      {Kind::whole},           {Kind::cut, 10},        {Kind::optional, 0, 6},
      {Kind::optional, 8, 7},  {Kind::optional, 0, 2}, {Kind::optional, 0, 1},
      {Kind::optional, 10, 4}, {Kind::optional, 0, 5}, {Kind::optional, 6, 3},
  };
  return all;
}

ListForm form_for(const ListOptions& options, const Globals& globals) {
  const bool own = !options.format.empty() && options.format != "json" && options.format != "table";
  if (globals.json && (own || options.format == "table"))
    throw Error(Errc::invalid_argument, "--json and --format are given", "give one of them");
  if (own) return {Shape::by_template, ListTemplate::parse(options.format)};
  if (globals.json || options.format == "json") return {Shape::json, std::nullopt};
  return {globals.quiet ? Shape::ids : Shape::table, std::nullopt};
}

void print_table(const std::vector<Row>& rows) {
  const auto width = output_width();
  const auto fitted = fit(rows, columns(), width);
  print(fitted.text);
  if (!fitted.left_out.empty())
    say(hang("",
             fmt::format("too narrow for {}: tc-hostnet inspect LEASE shows all", list_of(fitted.left_out)),
             0, width));
}

void print_listing(const Listing& listing, const ListForm& form) {
  if (form.shape == Shape::table) print_table(listing.rows());
  for (const auto& lease : listing.leases) {
    if (form.shape == Shape::json) print_json(lease.object);
    if (form.shape == Shape::ids) print(lease.id);
    if (form.shape == Shape::by_template) print(form.filled->render(lease));
  }
  if (listing.hides_roots) say_hidden("list");
}

// On a terminal in place of what was there; else a block that ends in an empty line, or one object.
void print_change(const Listing& listing, const ListForm& form) {
  if (form.shape == Shape::json) {
    auto leases = json::array();
    for (const auto& lease : listing.leases) leases.push_back(lease.object);
    return print_json({{"event", "leases"}, {"leases", std::move(leases)}});
  }
  const bool on_terminal = ::isatty(STDOUT_FILENO) != 0;
  if (on_terminal) clear_screen();
  print_listing(listing, form);
  if (!on_terminal) print("");
}

int watch_leases(const ListForm& form, const Globals& globals) {
  const auto store = open_store(globals);
  const state::TunnelStore records(globals.runtime_dir);
  LeaseWatch watch({store.folder(), records.folder()});
  std::optional<std::string> shown;
  const bool redraws = form.shape == Shape::table && ::isatty(STDOUT_FILENO) != 0;
  auto woken = LeaseWatch::Woken::change;
  while (woken != LeaseWatch::Woken::stop) {
    watch.arm();
    const auto listing = look_at_leases(globals);
    auto gist = listing.gist();
    if (shown != gist || (redraws && woken == LeaseWatch::Woken::time)) print_change(listing, form);
    shown = std::move(gist);
    std::vector<pid_t> owners;
    for (const auto& lease : listing.leases) owners.push_back(lease.owner);
    woken = watch.wait(owners, kLeastBetween, redraws ? std::optional(kRedraw) : std::nullopt);
  }
  return 0;
}

}  // namespace

Action define_list(Arguments& arguments) {
  const auto options = std::make_shared<ListOptions>();
  arguments.value(
      "--format TEMPLATE", options->format,
      "table, json, or a line per lease with members of its JSON in braces, as '{id} {owner.pid}'");
  arguments.flag("-w,--watch", options->watch, "go on until Ctrl-C, and show each change");
  arguments.footer(
      "Releases the leases of dead owners first. With --json, prints one object per lease and line. With -q, "
      "prints "
      "only ids.");
  arguments.example("sudo tc-hostnet list");
  arguments.example("sudo tc-hostnet list --format '{id}\\t{target}\\t{ports}'");
  return [options](const Globals& globals) {
    auto form = form_for(*options, globals);
    if (options->watch) return watch_leases(form, globals);
    print_listing(look_at_leases(globals), form);
    return 0;
  };
}

}  // namespace hostnet::cli
