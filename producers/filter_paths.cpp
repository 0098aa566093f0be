#include "producers/filter_paths.h"

#include "pipeline/copy.h"

namespace sluice {

// Gives the folded units of a path, every run of separators as one '\' and one at the end not at all; and tells where a component
// ends: behind so many units of `text`. False from either ends the walk.
template <class on_unit, class on_end>
SLUICE_ALWAYS_INLINE void filter_paths::walk(const uint16_t* text, uint32_t count, on_unit&& unit, on_end&& end) const {
  bool in_component = false;
  bool separated = false;
  for (uint32_t i = 0; i < count; ++i) {
    const uint16_t next = text[i];
    if (next == '\\' || (slash_separates_ && next == '/')) {
      if (in_component && !end(i)) return;
      in_component = false;
      separated = true;
      continue;
    }
    if (!in_component && separated && !unit(static_cast<uint16_t>('\\'))) return;
    in_component = true;
    if (!unit(fold_->upper(next))) return;
  }
  if (in_component) (void)end(count);
}

bool filter_paths::create(const kernel_functions& functions, const case_table& fold, const uint8_t* message,
                          const filter_table& table, bool slash_separates, filter_check& check) {
  PAGED_CODE();
  check = {filter_error::none, 0};
  fold_ = &fold;
  slash_separates_ = slash_separates;
  if (table.count == 0) return true;
  uint32_t slots = 2;
  while (slots < 2 * table.count) slots *= 2;
  mask_ = slots - 1;
  const auto path_at = [&](uint32_t index) {
    filter_path path;
    copy_bytes(&path, message + table.offset + index * sizeof path, sizeof path);
    return path;
  };
  size_t units = 0;
  for (uint32_t i = 0; i < table.count; ++i) units += path_at(i).length / 2;
  if (!entries_memory_.allocate(functions, table.count * sizeof(entry)) ||
      !slots_memory_.allocate(functions, slots * sizeof(uint32_t)) ||
      !text_memory_.allocate(functions, units * sizeof(uint16_t))) {
    return false;
  }
  entries_ = static_cast<entry*>(entries_memory_.get());
  slots_ = static_cast<uint32_t*>(slots_memory_.get());
  text_ = static_cast<uint16_t*>(text_memory_.get());

  uint32_t used = 0;
  for (uint32_t i = 0; i < table.count; ++i) {
    const filter_path path = path_at(i);
    const auto* const text = reinterpret_cast<const uint16_t*>(message + path.offset);
    entry made{start, used, 0, static_cast<uint16_t>(path.flags & filter_rule_exclude)};
    uint32_t components = 0;
    walk(text, path.length / 2,
         [&](uint16_t unit) {
           made.hash = step(made.hash, unit);
           text_[used + made.units++] = unit;
           return true;
         },
         [&](uint32_t) {
           ++components;
           return true;
         });
    if (!made.exclude) keeps_others_ = false;
    if (const entry* const same = find(text, path.length / 2, made.hash); same != nullptr) {
      if (same->exclude == made.exclude) continue;
      check = {filter_error::path_contradiction, table.offset + i * static_cast<uint32_t>(sizeof path)};
      return false;
    }
    used += made.units;
    if (components > deepest_) deepest_ = components;
    depths_ |= depth_bit(components);
    entries_[count_] = made;
    uint32_t slot = slot_of(made.hash);
    while (slots_[slot] != 0) slot = (slot + 1) & mask_;
    slots_[slot] = ++count_;
  }
  return true;
}

bool filter_paths::keeps(const void* path, uint32_t bytes, bool whole) const {
  const auto* const text = static_cast<const uint16_t*>(path);
  const uint32_t count = bytes / 2;
  uint64_t hash = start;
  uint32_t components = 0;
  bool keep = keeps_others_;
  bool applied = false;
  walk(text, count,
       [&](uint16_t unit) {
         hash = step(hash, unit);
         return true;
       },
       [&](uint32_t end) {
         ++components;
         // Where the text was cut off, no component ends.
         if ((depths_ & depth_bit(components)) != 0 && (whole || end != count)) {
           if (const entry* const found = find(text, end, hash); found != nullptr) {
             keep = !found->exclude;
             applied = true;
           }
         }
         return components < deepest_;
       });
  return keep || (!whole && !applied);
}

// The entry that the first `count` units of `text` are, which have that hash. Equal hashes prove nothing: units are compared.
const filter_paths::entry* filter_paths::find(const uint16_t* text, uint32_t count, uint64_t hash) const {
  for (uint32_t slot = slot_of(hash); slots_[slot] != 0; slot = (slot + 1) & mask_) {
    const entry& candidate = entries_[slots_[slot] - 1];
    if (candidate.hash == hash && is(candidate, text, count)) return &candidate;
  }
  return nullptr;
}

bool filter_paths::is(const entry& candidate, const uint16_t* text, uint32_t count) const {
  uint32_t same = 0;
  bool equal = true;
  walk(text, count,
       [&](uint16_t unit) {
         equal = same < candidate.units && text_[candidate.begin + same] == unit;
         ++same;
         return equal;
       },
       [](uint32_t) { return true; });
  return equal && same == candidate.units;
}

}  // namespace sluice
