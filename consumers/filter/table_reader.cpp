#include "consumers/filter/table_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "consumers/nearest.h"

namespace sluice::filter {
namespace {

void tell_wrong_kind(const toml::node& node, std::string_view name, std::string_view wanted, std::string_view example,
                     diagnostics& found) {
  found.error(position_of(node), fmt::format("{} is {}, such as {}; this is {}", name, wanted, example, kind_of(node)));
}

}  // namespace

position position_of(const toml::node& node) {
  const toml::source_position begin = node.source().begin;
  return {begin.line, begin.column};
}

std::string_view kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::none: break;
    case toml::node_type::table: return "a table";
    case toml::node_type::array: return "a list";
    case toml::node_type::string: return "a string";
    case toml::node_type::integer: return "an integer";
    case toml::node_type::floating_point: return "a floating-point number";
    case toml::node_type::boolean: return "a boolean";
    case toml::node_type::date: return "a date";
    case toml::node_type::time: return "a time of day";
    case toml::node_type::date_time: return "a date and time";
  }
  return "nothing";
}

table_reader::table_reader(const toml::table& table, std::string name, diagnostics& found)
    : table_(table), name_(std::move(name)), found_(found) {}

std::optional<located<std::string>> table_reader::string(std::string_view key, std::string_view example) {
  const toml::node* const node = take(key);
  if (node == nullptr) return std::nullopt;
  if (const auto* const text = node->as_string()) return located<std::string>{text->get(), position_of(*node)};
  wrong_kind(*node, key, "a string", example);
  return std::nullopt;
}

std::optional<located<int64_t>> table_reader::integer(std::string_view key, int64_t least, int64_t most,
                                                      std::string_view example) {
  const toml::node* const node = take(key);
  if (node == nullptr) return std::nullopt;
  const std::optional<int64_t> value = number(*node, full_name(key), least, most, example, found_);
  if (!value) return std::nullopt;
  return located<int64_t>{*value, position_of(*node)};
}

std::optional<located<bool>> table_reader::boolean(std::string_view key) {
  const toml::node* const node = take(key);
  if (node == nullptr) return std::nullopt;
  if (const auto* const value = node->as_boolean()) return located<bool>{value->get(), position_of(*node)};
  wrong_kind(*node, key, "true or false", "true");
  return std::nullopt;
}

std::optional<table_reader::string_list> table_reader::strings(std::string_view key, std::string_view example) {
  const toml::array* const entries = list(key, example);
  if (entries == nullptr) return std::nullopt;
  string_list result{*entries, {}};
  for (const toml::node& entry : *entries) {
    if (const auto* const text = entry.as_string()) {
      result.entries.push_back({text->get(), position_of(entry)});
    } else {
      wrong_kind(entry, key, "a list of strings", example);
    }
  }
  return result;
}

const toml::table* table_reader::table(std::string_view key, std::string_view example) {
  const toml::node* const node = take(key);
  if (node == nullptr) return nullptr;
  const toml::table* const result = node->as_table();
  if (result == nullptr) wrong_kind(*node, key, "a table", example);
  return result;
}

std::vector<const toml::table*> table_reader::tables(std::string_view key, std::string_view example) {
  const toml::node* const node = take(key);
  if (node == nullptr) return {};
  const toml::array* const all = node->as_array();
  if (all == nullptr) {
    if (node->is_table()) {
      found_.error(position_of(*node), fmt::format("there can be several of these: write [[{0}]] instead of [{0}]", key));
    } else {
      wrong_kind(*node, key, "one table or more", example);
    }
    return {};
  }
  std::vector<const toml::table*> result;
  for (const toml::node& entry : *all) {
    if (const toml::table* const one = entry.as_table()) {
      result.push_back(one);
    } else {
      wrong_kind(entry, key, "one table or more", example);
    }
  }
  return result;
}

void table_reader::finish() {
  for (const auto& [key, value] : table_) {
    if (std::find(known_.begin(), known_.end(), key.str()) != known_.end()) continue;
    const toml::source_position begin = key.source().begin;
    const std::string_view near = nearest(key.str(), known_);
    found_.error({begin.line, begin.column},
                 fmt::format("{} is not known here{} there are: {}", quoted(full_name(key.str())),
                             near.empty() ? ";" : fmt::format(", is '{}' meant?", near), fmt::join(known_, ", ")));
  }
}

const toml::node* table_reader::take(std::string_view key) {
  known_.emplace_back(key);
  return table_.get(key);
}

const toml::array* table_reader::list(std::string_view key, std::string_view example) {
  const toml::node* const node = take(key);
  if (node == nullptr) return nullptr;
  const toml::array* const result = node->as_array();
  if (result == nullptr) wrong_kind(*node, key, "a list", example);
  return result;
}

void table_reader::wrong_kind(const toml::node& node, std::string_view key, std::string_view wanted,
                              std::string_view example) {
  tell_wrong_kind(node, full_name(key), wanted, example, found_);
}

std::optional<int64_t> table_reader::number(const toml::node& node, std::string_view name, int64_t least, int64_t most,
                                            std::string_view example, diagnostics& found) {
  const auto* const value = node.as_integer();
  if (value == nullptr) {
    tell_wrong_kind(node, name, "a whole number", example, found);
    return std::nullopt;
  }
  if (value->get() >= least && value->get() <= most) return value->get();
  found.error(position_of(node), fmt::format("{} is out of range for {}: {} to {}", value->get(), name, least, most));
  return std::nullopt;
}

std::string table_reader::full_name(std::string_view key) const {
  return name_.empty() ? std::string(key) : fmt::format("{}.{}", name_, key);
}

}  // namespace sluice::filter
