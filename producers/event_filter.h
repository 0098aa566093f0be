// The filter in force: set, cleared and read as a whole; asked by producers about each event; counted by reason.
//
//   is_set                           any IRQL: one load. All that an event pays while no filter is set
//   event_decision                   up to DISPATCH_LEVEL: producers/event_decision.h
//   process_started, process_exited  from the process callback, whether or not a filter is set
//   set, clear, read, compile        PASSIVE_LEVEL, any number of callers at a time
//   row                              in the section of that CPU
//
// F1  An event is decided by the whole of one filter, or by none.
// F2  A filter that was answered for decides every event that begins after the answer.
// F3  Per type and CPU, since load: what was filtered, by reason. With what the rings count, R3 reads
//     attempted = committed + discarded + dropped(by reason) + filtered(by reason) + open.
// F4  When set or clear return, nobody reads the former filter any more, and its memory is given back.
#pragma once

#include "kernel_port/snapshot/nt_snapshot.h"
#include "producers/compiled_filter.h"
#include "producers/process_tree.h"

namespace sluice {

struct filter_row {
  uint64_t filtered[filter_reason_count];

  uint64_t total() const {
    uint64_t sum = 0;
    for (const uint64_t n : filtered) sum += n;
    return sum;
  }
};

class event_filter {
 public:
  event_filter() = default;
  // PASSIVE_LEVEL; no producer runs any more.
  ~event_filter() { destroy(snapshot_.replace(nullptr)); }
  event_filter(const event_filter&) = delete;
  event_filter& operator=(const event_filter&) = delete;

  // PASSIVE_LEVEL. False: no memory.
  [[nodiscard]] SLUICE_INIT_CODE _IRQL_requires_(PASSIVE_LEVEL)
  bool create(const kernel_functions& functions);

  bool is_set() const { return snapshot_.any(); }

  // The message is read once. answer.error says whether it was taken. STATUS_INSUFFICIENT_RESOURCES: nothing changed.
  [[nodiscard]] SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS set(_In_reads_bytes_(bytes) const void* message_untrusted, uint32_t bytes, filter_answer& answer);
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  void clear(filter_answer& answer);
  // filter_state and the message, as protocol::code_filter gives them.
  [[nodiscard]] SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS read(_Out_writes_bytes_to_(size, written) void* buffer, uint32_t size, uint32_t& written);

  // A filter of somebody's own: compiled as this one is, but in force for nobody here, and not following the families any
  // further. The message is read once. STATUS_SUCCESS with check.error: it is wrong. STATUS_INSUFFICIENT_RESOURCES.
  [[nodiscard]] SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS compile(_In_reads_bytes_(bytes) const void* message_untrusted, uint32_t bytes, compiled_filter& made, filter_check& check);

  void process_started(uint32_t pid, uint32_t parent) { tree_.started(pid, parent); }
  void process_exited(uint32_t pid) { tree_.exited(pid); }

  // An own event that the driver writes in one piece; `payload` null: its content is not known yet. Up to DISPATCH_LEVEL.
  [[nodiscard]] _IRQL_requires_max_(DISPATCH_LEVEL)
  SLUICE_NEVER_INLINE bool keeps_own(uint16_t type, const void* payload, uint32_t length);

  const filter_row& row(uint32_t cpu, uint32_t type) const { return rows_[cpu].of[type]; }

 private:
  friend class event_decision;

  // One of set, clear, read and compile at a time, at PASSIVE_LEVEL, not to be suspended with the turn.
  class turn {
   public:
    explicit turn(KEVENT& free) : free_(free) {
      KeWaitForSingleObject(&free_, Executive, KernelMode, FALSE, nullptr);
    }
    ~turn() { KeSetEvent(&free_, IO_NO_INCREMENT, FALSE); }
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;

   private:
    const critical_region region_;
    KEVENT& free_;
  };

  _IRQL_requires_(PASSIVE_LEVEL)
  void replace(compiled_filter* next);
  template <class judge>
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS make(_In_reads_bytes_(bytes) const void* message_untrusted, uint32_t bytes, compiled_filter& made, filter_check& check,
                judge&& families);
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  static void destroy(compiled_filter* filter);

  struct cpu_rows {
    filter_row of[max_record_types];
  };

  const kernel_functions* functions_ = nullptr;
  nt_snapshot<compiled_filter> snapshot_;
  compiled_filter* in_force_ = nullptr;  // with the turn
  uint64_t generation_ = 0;              // with the turn
  KEVENT turn_{};
  process_tree tree_;
  case_table fold_;
  nonpaged_array<cpu_rows> rows_;
};

}  // namespace sluice
