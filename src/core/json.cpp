// The one source file that includes nlohmann's library: builds, writes and reads its trees, and parses text.
//
// The text is untrusted, so it is parsed event by event (SAX): the limits apply before memory is spent, and
// nothing is processed twice. json::parse() with a callback does not work here: after each element it scans
// all earlier elements of the same list.
#include "core/json.hpp"

#include "core/strings.hpp"
#include "hostnet/error.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace hostnet::json {
namespace {

using Tree = nlohmann::json;

Tree tree_of(const Item& item);

Tree tree_of(std::initializer_list<Member> members) {
  Tree out(Tree::value_t::object);
  auto& object = out.get_ref<Tree::object_t&>();
  for (const auto& member : members) object.insert_or_assign(std::string(member.name), tree_of(member.item));
  return out;
}

// Converts a source to nlohmann's type for it.
struct Grow {
  Tree operator()(std::nullptr_t) const { return nullptr; }
  Tree operator()(bool flag) const { return flag; }
  Tree operator()(std::int64_t number) const { return number; }
  Tree operator()(std::uint64_t number) const { return number; }
  Tree operator()(double number) const { return number; }
  Tree operator()(std::string_view text) const { return std::string(text); }
  Tree operator()(const Value* value) const { return value->tree(); }
  Tree operator()(Value* value) const { return std::move(value->tree()); }
  Tree operator()(std::initializer_list<Member> members) const { return tree_of(members); }
  Tree operator()(const Item::Strings* list) const { return *list; }
  Tree operator()(const Item::StringMap* members) const { return *members; }
};

Tree tree_of(const Item& item) { return std::visit(Grow{}, item.source()); }

constexpr auto kReplace = Tree::error_handler_t::replace;

// Builds the tree from the parser's events.
class Builder final : public nlohmann::json_sax<Tree> {
 public:
  explicit Builder(const Limits& limits) : limits_(limits) {}

  Tree take() { return std::move(root_); }

  void check_deadline() const {
    if (limits_.deadline.expired()) throw Error(Errc::timed_out, "reading a JSON text timed out");
  }

  bool null() override { return put(nullptr); }
  bool boolean(bool flag) override { return put(flag); }
  bool number_integer(number_integer_t number) override { return put(number); }
  bool number_unsigned(number_unsigned_t number) override { return put(number); }
  bool number_float(number_float_t number, const string_t&) override { return put(number); }
  bool string(string_t& text) override { return put(std::move(text)); }
  // Only nlohmann's other formats have binary values.
  bool binary(binary_t&) override { throw Unreadable("not JSON"); }
  bool start_object(std::size_t) override { return open(Tree::value_t::object); }
  bool start_array(std::size_t) override { return open(Tree::value_t::array); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    member_ = &open_.back()->get_ref<Tree::object_t&>()[std::move(name)];
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const Tree::exception& error) override {
    throw Unreadable(fmt::format("not JSON ({})", quote(error.what())));
  }

 private:
  bool put(Tree value) {
    add(std::move(value));
    return true;
  }

  bool open(Tree::value_t type) {
    if (open_.size() >= static_cast<std::size_t>(limits_.depth))
      throw Unreadable(fmt::format("nested deeper than {} levels", limits_.depth));
    open_.push_back(&add(Tree(type)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  // The pointers in open_ stay valid: nothing is added to a value's parents while it is open.
  Tree& add(Tree value) {
    if (++values_ > limits_.values) throw Unreadable(fmt::format("more than {} values", limits_.values));
    if (values_ % kBetweenLooks == 0) check_deadline();
    if (open_.empty()) return root_ = std::move(value);
    if (auto* const list = open_.back()->get_ptr<Tree::array_t*>())
      return list->emplace_back(std::move(value));
    return *member_ = std::move(value);
  }

  static constexpr std::size_t kBetweenLooks = 1024;  // values between two checks of the deadline
  const Limits& limits_;
  Tree root_;
  std::vector<Tree*> open_;
  Tree* member_ = nullptr;  // of the innermost object; its value comes next
  std::size_t values_ = 0;
};

const Tree& nothing() {
  static const Tree null;
  return null;
}

}  // namespace

Place Place::operator[](std::string_view name) const {
  if (at_->is_null()) *at_ = Tree::object();
  return Place(at_->get_ref<Tree::object_t&>()[std::string(name)]);
}

Place Place::operator[](std::size_t index) const { return Place(at_->at(index)); }
void Place::operator=(const Item& item) const { *at_ = tree_of(item); }
void Place::push_back(const Item& item) const { at_->push_back(tree_of(item)); }

bool View::is_null() const { return at_ != nullptr && at_->is_null(); }
bool View::is_object() const { return at_ != nullptr && at_->is_object(); }
bool View::is_list() const { return at_ != nullptr && at_->is_array(); }
const char* View::type_name() const { return at_ == nullptr ? "nothing" : at_->type_name(); }

View View::find(std::string_view name) const {
  if (!is_object()) return {};
  const auto found = at_->find(name);
  return found == at_->end() ? View() : View(&*found);
}

std::size_t View::size() const { return is_list() ? at_->size() : 0; }
View View::operator[](std::size_t index) const { return index < size() ? View(&(*at_)[index]) : View(); }

std::vector<View> View::elements() const {
  std::vector<View> out;
  out.reserve(size());
  for (std::size_t index = 0; index < size(); ++index) out.emplace_back(&(*at_)[index]);
  return out;
}

std::vector<std::pair<std::string_view, View>> View::members() const {
  std::vector<std::pair<std::string_view, View>> out;
  if (!is_object()) return out;
  for (const auto& [name, value] : at_->get_ref<const Tree::object_t&>())
    out.emplace_back(name, View(&value));
  return out;
}

std::optional<std::string_view> View::text() const {
  if (at_ == nullptr || !at_->is_string()) return std::nullopt;
  return at_->get_ref<const std::string&>();
}

std::optional<bool> View::flag() const {
  return at_ != nullptr && at_->is_boolean() ? std::optional(at_->get<bool>()) : std::nullopt;
}

std::optional<std::int64_t> View::integer() const {
  if (at_ == nullptr || !at_->is_number_integer()) return std::nullopt;
  // nlohmann stores a value above INT64_MAX as unsigned, and get<int64_t>() would wrap it.
  if (at_->is_number_unsigned() && !std::in_range<std::int64_t>(at_->get<std::uint64_t>()))
    return std::nullopt;
  return at_->get<std::int64_t>();
}

std::optional<std::uint64_t> View::natural() const {
  if (at_ == nullptr || !at_->is_number_integer()) return std::nullopt;
  if (!at_->is_number_unsigned() && at_->get<std::int64_t>() < 0) return std::nullopt;
  return at_->get<std::uint64_t>();
}

std::optional<double> View::real() const {
  return at_ != nullptr && at_->is_number() ? std::optional(at_->get<double>()) : std::nullopt;
}

std::string View::dump() const {
  return at_ == nullptr ? std::string() : at_->dump(-1, ' ', false, kReplace);
}

Value::Value() noexcept = default;
Value::Value(const Item& item) : Value(tree_of(item)) {}
Value::Value(std::initializer_list<Member> members) : Value(tree_of(members)) {}
Value::Value(Tree tree) : tree_(std::make_unique<Tree>(std::move(tree))) {}
Value::Value(const Value& other) : tree_(other.tree_ ? std::make_unique<Tree>(*other.tree_) : nullptr) {}
Value::Value(Value&& other) noexcept = default;
Value& Value::operator=(const Value& other) { return *this = Value(other); }
Value& Value::operator=(Value&& other) noexcept = default;
Value::~Value() = default;

Place Value::operator[](std::string_view name) { return Place(tree())[name]; }
Place Value::operator[](std::size_t index) { return Place(tree())[index]; }
void Value::push_back(const Item& item) { Place(tree()).push_back(item); }

View Value::view() const& { return View(&tree()); }
bool Value::empty() const { return tree().empty(); }
std::size_t Value::size() const { return tree().size(); }

std::string Value::dump() const { return view().dump(); }
std::string Value::dump_in_lines() const { return tree().dump(1, ' ', false, kReplace); }

std::optional<std::string> Value::dump_exact() const {
  try {
    return tree().dump();
  } catch (const Tree::exception&) {
    return std::nullopt;
  }
}

bool Value::operator==(const Value& other) const { return tree() == other.tree(); }

const Tree& Value::tree() const { return tree_ ? *tree_ : nothing(); }

Tree& Value::tree() {
  if (!tree_) tree_ = std::make_unique<Tree>();
  return *tree_;
}

Value array() { return Value(Tree::array()); }

Value array(std::initializer_list<Item> elements) {
  auto out = array();
  for (const auto& element : elements) out.push_back(element);
  return out;
}

Value object() { return Value(Tree::object()); }

Value parse(std::string_view text, const Limits& limits) {
  Builder builder(limits);
  builder.check_deadline();
  Tree::sax_parse(text.begin(), text.end(), &builder);
  return Value(builder.take());
}

}  // namespace hostnet::json
