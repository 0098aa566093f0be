// A filter message, ready for use: what callbacks read, and what they remember on each CPU. One snapshot
// (kernel_port/snapshot/nt_snapshot.h); immutable but for process_verdicts, which follow the processes, and the memories of the
// CPUs, each touched in its own section.
#pragma once

#include "producers/filter_paths.h"
#include "producers/filter_state.h"
#include "producers/key_hash.h"
#include "producers/process_verdicts.h"

namespace sluice {

class compiled_filter {
 public:
  compiled_filter() = default;
  compiled_filter(const compiled_filter&) = delete;
  compiled_filter& operator=(const compiled_filter&) = delete;

  // PASSIVE_LEVEL. Copies the message once, then checks and compiles the copy. STATUS_SUCCESS with check.error: the message is wrong.
  // STATUS_INSUFFICIENT_RESOURCES. `fold` must live as long as this.
  [[nodiscard]] SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS create(const kernel_functions& functions, case_table& fold, const void* message_untrusted,
                                uint32_t bytes, filter_check& check);

  const uint8_t* message() const { return static_cast<const uint8_t*>(message_.get()); }
  uint32_t message_bytes() const { return header_.total_bytes; }
  const filter_header& header() const { return header_; }
  const filter_process* process_rules() const {
    return reinterpret_cast<const filter_process*>(message() + header_.processes.offset);
  }
  process_verdicts& verdicts() { return verdicts_; }

  // Any IRQL.
  bool wants_type(uint16_t type) const { return (header_.types >> type & 1) != 0; }
  bool judges_processes(uint16_t type) const {
    return header_.processes.count != 0 && (header_.process_types >> type & 1) != 0;
  }
  bool wants_process(uint32_t pid) const {
    const process_verdict own = verdicts_.find(pid).own;
    return own == process_verdict::none ? wants_other_processes_ : own == process_verdict::include;
  }
  const filter_paths& images() const { return images_; }
  const filter_paths& keys() const { return keys_; }

  bool suppresses_repeats(uint16_t type) const { return (header_.repeat_types >> type & 1) != 0; }
  // Over what two repeats of `type` have in common: begin with this, add the key fields, and give end_hash() to passes_limits.
  key_hash begin_hash(uint16_t type, uint32_t pid) const {
    key_hash hash(hash_key_[0], hash_key_[1]);
    hash.add(uint64_t{type} << 32 | pid);
    return hash;
  }
  static uint64_t end_hash(key_hash& hash) {
    const uint64_t value = hash.finish();
    return value != 0 ? value : 1;
  }

  // In the section of `cpu`. Repeats and rates; `hash` 0: the event has no key, so it repeats nothing. True: the event is
  // kept, and what it takes is taken. Otherwise `reason` says why not, and nothing was taken.
  _IRQL_requires_(DISPATCH_LEVEL)
  bool passes_limits(uint32_t cpu, uint16_t type, uint32_t pid, uint64_t hash, uint64_t now, filter_reason& reason);

 private:
  [[nodiscard]] SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  bool create_memories(const kernel_functions& functions);

  nonpaged_memory message_;
  filter_header header_{};
  bool wants_other_processes_ = true;  // no rule includes
  process_verdicts verdicts_;
  filter_paths images_;
  filter_paths keys_;

  uint64_t hash_key_[2] = {};
  uint64_t repeat_ticks_ = 0;
  bucket_limits process_limits_;
  bucket_limits type_limits_[max_record_types];
  nonpaged_array<repeat_memory> repeats_;
  nonpaged_array<process_buckets> process_buckets_;
  nonpaged_array<type_buckets> type_buckets_;
};

}  // namespace sluice
