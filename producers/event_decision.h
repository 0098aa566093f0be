// Whether one event is kept, asked in two looks, both by the same filter (F1):
//
//   event_decision decision(filter, type);
//   if (!decision.wants(pid)) return;            what the callback knows at once: before anything is looked up or copied
//   if (!decision.keeps_image(path, ...)) return;  what the event carries; then what it repeats, and rates
//
// An event that is not kept has been counted by then. Without a filter each look is one branch. Up to DISPATCH_LEVEL; path and key
// fields are read at the caller's IRQL, and may fault there if that allows it. On the stack of one thread; the second look is the last.
#pragma once

#include "producers/event_filter.h"

namespace sluice {

struct judged_path {
  const void* text;  // UTF-16, on an even address
  uint32_t bytes;
  bool known;  // false: the path could not be had
  bool whole;  // false: more follows that is not known
};

class event_decision {
 public:
  event_decision(event_filter& filter, uint16_t type) : filter_(filter), reader_(filter.snapshot_), type_(type) {}

  // The first look. `subject`: the process that the event is about; without: the context's.
  [[nodiscard]] bool wants(uint32_t subject) { return reader_.get() == nullptr || is_wanted(&subject); }
  [[nodiscard]] bool wants() { return reader_.get() == nullptr || is_wanted(nullptr); }

  // The second look; `add(hash)` gives the key fields, `process` is the context's for all but own events.
  template <class key_fields>
  [[nodiscard]] bool keeps_image(const judged_path& path, key_fields&& add) {
    if (reader_.get() == nullptr) [[likely]] return true;
    return keeps_path(reader_.get()->images(), path, filter_reason::image) && keeps(context(), add);
  }
  template <class key_fields>
  [[nodiscard]] bool keeps_key(const judged_path& path, key_fields&& add) {
    if (reader_.get() == nullptr) [[likely]] return true;
    return keeps_path(reader_.get()->keys(), path, filter_reason::key) && keeps(context(), add);
  }
  template <class key_fields>
  [[nodiscard]] bool keeps(uint32_t process, key_fields&& add) {
    if (reader_.get() == nullptr) [[likely]] return true;
    if (!reader_.get()->suppresses_repeats(type_)) return keeps_unidentified();
    key_hash hash = reader_.get()->begin_hash(type_, process);
    add(hash);
    return end(compiled_filter::end_hash(hash));
  }
  // Of an event whose key fields are not known, which therefore repeats nothing.
  [[nodiscard]] bool keeps_unidentified() { return reader_.get() == nullptr || end(0); }

  static uint32_t context() { return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(PsGetCurrentProcessId())); }

 private:
  SLUICE_NEVER_INLINE bool is_wanted(const uint32_t* subject) {
    const compiled_filter& filter = *reader_.get();
    if (!filter.wants_type(type_)) return refuse(filter_reason::type);
    if (filter.judges_processes(type_) && !(subject != nullptr && filter.wants_process(*subject)) &&
        !filter.wants_process(context())) {
      return refuse(filter_reason::process);
    }
    return true;
  }

  bool keeps_path(const filter_paths& paths, const judged_path& path, filter_reason reason) {
    return paths.empty() || !path.known || paths.keeps(path.text, path.bytes, path.whole) || refuse(reason);
  }

  SLUICE_NEVER_INLINE bool refuse(filter_reason reason) {
    reader_.leave([&](uint32_t cpu) { count(cpu, reason); });
    return false;
  }

  // Repeats and rates, in the section that ends the reading.
  SLUICE_NEVER_INLINE bool end(uint64_t hash) {
    compiled_filter& filter = *reader_.get();
    bool kept = false;
    reader_.leave([&](uint32_t cpu) {
      // In the section: a time from before could be older than what this CPU remembers.
      const uint64_t now = static_cast<uint64_t>(KeQueryPerformanceCounter(nullptr).QuadPart);
      filter_reason reason{};
      kept = filter.passes_limits(cpu, type_, context(), hash, now, reason);
      if (!kept) count(cpu, reason);
    });
    return kept;
  }

  void count(uint32_t cpu, filter_reason reason) {
    ++filter_.rows_[cpu].of[type_].filtered[static_cast<uint32_t>(reason)];
  }

  event_filter& filter_;
  snapshot_reader<compiled_filter> reader_;
  uint16_t type_;
};

}  // namespace sluice
