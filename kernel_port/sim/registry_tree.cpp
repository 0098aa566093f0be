#include "kernel_port/sim/registry_tree.h"

#include <algorithm>

namespace sluice::sim {
namespace {

// ASCII only.
std::u16string folded(std::u16string_view text) {
  std::u16string result(text);
  std::ranges::transform(result, result.begin(), [](char16_t unit) {
    return unit >= u'A' && unit <= u'Z' ? static_cast<char16_t>(unit - u'A' + u'a') : unit;
  });
  return result;
}

// Empty for the root.
std::u16string parent_of(const std::u16string& path) {
  const size_t last = path.rfind(u'\\');
  return last == std::u16string::npos ? std::u16string() : path.substr(0, last);
}

}  // namespace

registry_tree::key& registry_tree::imply_folded(const std::u16string& path) {
  const auto [entry, fresh] = keys_.try_emplace(path);
  key& made = entry->second;  // stays where it is while others are added
  bool added = fresh;
  for (std::u16string parent = parent_of(path); added && !parent.empty(); parent = parent_of(parent)) {
    const auto [above, is_new] = keys_.try_emplace(parent);
    above->second.children += 1;
    added = is_new;
  }
  return made;
}

void registry_tree::leave_parent(const std::u16string& path) {
  if (const auto parent = keys_.find(parent_of(path)); parent != keys_.end()) parent->second.children -= 1;
}

void registry_tree::imply(std::u16string_view path) {
  internal_lock lock(mutex_);
  imply_folded(folded(path));
}

bool registry_tree::exists(std::u16string_view path) {
  internal_lock lock(mutex_);
  return keys_.contains(folded(path));
}

bool registry_tree::create(std::u16string_view path) {
  internal_lock lock(mutex_);
  const std::u16string name = folded(path);
  if (keys_.contains(name)) return false;
  imply_folded(name).contents_known = true;
  return true;
}

NTSTATUS registry_tree::remove(std::u16string_view path) {
  internal_lock lock(mutex_);
  const std::u16string name = folded(path);
  if (imply_folded(name).children != 0) return STATUS_CANNOT_DELETE;
  leave_parent(name);
  keys_.erase(name);
  return STATUS_SUCCESS;
}

NTSTATUS registry_tree::rename(std::u16string_view path, std::u16string_view new_name) {
  if (new_name.empty() || new_name.find(u'\\') != std::u16string_view::npos) return STATUS_INVALID_PARAMETER;
  internal_lock lock(mutex_);
  const std::u16string from = folded(path);
  const std::u16string to = parent_of(from) + u"\\" + folded(new_name);
  if (keys_.contains(to)) return STATUS_CANNOT_DELETE;
  imply_folded(from);
  std::vector<std::u16string> moved;
  for (const auto& [name, entry] : keys_) {
    if (name == from || name.starts_with(from + u"\\")) moved.push_back(name);
  }
  for (const std::u16string& name : moved) {
    auto node = keys_.extract(name);
    node.key() = to + name.substr(from.size());
    keys_.insert(std::move(node));
  }
  return STATUS_SUCCESS;
}

NTSTATUS registry_tree::set(std::u16string_view path, std::u16string_view name, ULONG type,
                            std::span<const uint8_t> data) {
  internal_lock lock(mutex_);
  value& to = imply_folded(folded(path)).values[folded(name)];
  to.type = type;
  to.data.assign(data.begin(), data.end());
  return STATUS_SUCCESS;
}

NTSTATUS registry_tree::remove_value(std::u16string_view path, std::u16string_view name) {
  internal_lock lock(mutex_);
  key& from = imply_folded(folded(path));
  if (from.values.erase(folded(name)) == 0 && from.contents_known) return STATUS_OBJECT_NAME_NOT_FOUND;
  return STATUS_SUCCESS;
}

bool registry_tree::find_value(std::u16string_view path, std::u16string_view name, value& found) {
  internal_lock lock(mutex_);
  const auto entry = keys_.find(folded(path));
  if (entry == keys_.end()) return false;
  const auto held = entry->second.values.find(folded(name));
  if (held == entry->second.values.end()) return false;
  found = held->second;
  return true;
}

}  // namespace sluice::sim
