// Records what the commands declare.
#include "cli/grammar.hpp"

#include "core/strings.hpp"

#include <algorithm>

namespace hostnet::cli {

const CommandForm* Grammar::command(std::string_view name) const {
  const auto found = std::ranges::find(commands, name, &CommandForm::name);
  return found == commands.end() ? nullptr : &*found;
}

OptionForm form_of(std::string_view declaration) {
  OptionForm form;
  const auto blank = declaration.find(' ');
  for (const auto name : split(declaration.substr(0, blank), ',')) form.names.emplace_back(name);
  if (blank != std::string_view::npos)
    form.metavar = declaration.substr(blank + 1);
  else if (form.is_positional())
    form.metavar = form.names.front();
  return form;
}

OptionForm& Recorder::add(const char* declaration, const char* help) {
  auto form = form_of(declaration);
  form.help = help;
  return options_.emplace_back(std::move(form));
}

void Recorder::flag(const char* name, bool& /*into*/, const char* help) { add(name, help).repeatable = true; }

void Recorder::value(const char* name, std::string& /*into*/, const char* help, Need need) {
  add(name, help).required = need == Need::required;
}

void Recorder::values(const char* name, std::vector<std::string>& /*into*/, const char* help, Need need) {
  auto& form = add(name, help);
  form.required = need == Need::required;
  form.repeatable = true;
}

void Recorder::values(const char* name, std::vector<std::string>& /*into*/, const char* environment,
                      const char* help) {
  auto& form = add(name, help);
  form.environment = environment;
  form.repeatable = true;
}

void Recorder::rest(const char* name, std::vector<std::string>& /*into*/, const char* help) {
  auto& form = add(name, help);
  form.takes_rest = true;
  form.repeatable = true;
}

void Recorder::choice(const char* name, std::string& /*into*/, const std::vector<std::string>& allowed,
                      const char* environment, const char* help) {
  auto& form = add(name, help);
  form.choices = allowed;
  form.environment = environment;
}

void Recorder::order(const char* name, std::string& into, const std::vector<std::string>& allowed,
                     const char* environment, const char* help) {
  choice(name, into, allowed, environment, help);
  options_.back().in_order = true;
}

void Recorder::value_or(const char* name, std::string& /*into*/, const char* environment, const char* help) {
  add(name, help).environment = environment;
}

void Recorder::footer(const char* text) {
  if (command_ != nullptr) command_->footer = text;
}

void Recorder::example(const char* line) {
  if (command_ != nullptr) command_->examples.emplace_back(line);
}

}  // namespace hostnet::cli
