// The paths of a filter, compiled: whether a path is wanted, in time that grows with the path, not with the number of entries.
// Hash table over folded text: a path is hashed component by component, and looked up where a component ends.
//
// Made at PASSIVE_LEVEL, immutable then. keeps() at any IRQL at which `text` may be touched; it calls nothing.
#pragma once

#include "producers/case_table.h"
#include "producers/filter_validation.h"

namespace sluice {

class filter_paths {
 public:
  filter_paths() = default;
  filter_paths(const filter_paths&) = delete;
  filter_paths& operator=(const filter_paths&) = delete;

  // `table` of `message`, which passed validate_filter. `fold` must live as long as this. False: no memory, and check.error is
  // none; or check says what is wrong.
  [[nodiscard]] SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  bool create(const kernel_functions& functions, const case_table& fold, const uint8_t* message,
                            const filter_table& table, bool slash_separates, filter_check& check);

  bool empty() const { return count_ == 0; }

  // Whether a path is wanted: producers/filter_message.h. `text`: UTF-16, on an even address. `whole` false: more follows that
  // is not known. Several separators in a row count as one, as they do to NT: nobody escapes an entry by doubling them.
  _IRQL_requires_max_(DISPATCH_LEVEL)
  bool keeps(const void* text, uint32_t bytes, bool whole) const;

 private:
  struct entry {
    uint64_t hash;
    uint32_t begin;  // in text_, units
    uint16_t units;
    uint16_t exclude;
  };

  template <class on_unit, class on_end>
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void walk(const uint16_t* text, uint32_t count, on_unit&& unit, on_end&& end) const;
  _IRQL_requires_max_(DISPATCH_LEVEL)
  const entry* find(const uint16_t* text, uint32_t count, uint64_t hash) const;
  _IRQL_requires_max_(DISPATCH_LEVEL)
  bool is(const entry& candidate, const uint16_t* text, uint32_t count) const;
  static uint64_t step(uint64_t hash, uint16_t unit) { return (hash ^ unit) * 0x9e3779b97f4a7c15u; }
  static constexpr uint64_t start = 0xcbf29ce484222325u;
  static uint64_t depth_bit(uint32_t components) { return uint64_t{1} << (components < 63 ? components : 63); }
  uint32_t slot_of(uint64_t hash) const { return static_cast<uint32_t>(hash >> 32) & mask_; }

  const case_table* fold_ = nullptr;
  bool slash_separates_ = false;
  bool keeps_others_ = true;  // no entry includes
  uint32_t count_ = 0;
  uint32_t mask_ = 0;
  uint32_t deepest_ = 0;  // components
  uint64_t depths_ = 0;   // bit n: some entry has n components; bit 63: 63 or more
  nonpaged_memory entries_memory_;
  nonpaged_memory slots_memory_;
  nonpaged_memory text_memory_;
  entry* entries_ = nullptr;
  uint32_t* slots_ = nullptr;  // 0, or the number of an entry + 1
  uint16_t* text_ = nullptr;
};

}  // namespace sluice
