// A client's own filter: which records of the stream go to it. The same message as the driver's (producers/filter_message.h),
// judged by what stands in a record, after the merge. Repeats and rates are limited where events arise, for all clients: a
// message that asks for them is refused.
//
// Processes are followed by the stream's own process_create and process_exit records, so that an event is judged by what its process
// was when it happened, however late it is merged. It begins with the families that the driver knows when the filter is made, and
// follows what is younger. A creation that is not in the stream (dropped, filtered by the driver, switched off) adds nobody to a
// family.
//
// Own events do not say in whose context they were written: they are judged by type alone.
#pragma once

#include "pipeline/record_view.h"
#include "producers/channel.h"
#include "producers/events.h"

namespace sluice {

class client_filter {
 public:
  // PASSIVE_LEVEL, both. `driver`: whose families and case table it begins with; outlives this. `now`: of the stream. STATUS_SUCCESS
  // with check.error: the message is wrong, and nothing was made. STATUS_INSUFFICIENT_RESOURCES.
  [[nodiscard]] SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  static NTSTATUS create(const kernel_functions& functions, event_filter& driver, uint64_t now,
                                       _In_reads_bytes_(bytes) const void* message_untrusted, uint32_t bytes, filter_check& check,
                                       client_filter*& made);
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  static void destroy(client_filter* filter);  // null is allowed

  client_filter() = default;
  client_filter(const client_filter&) = delete;
  client_filter& operator=(const client_filter&) = delete;

  // The records of the stream in their order, each as often as it is offered; those of a clock epoch or of losses are not asked
  // about. One caller at a time. <= APC_LEVEL.
  _IRQL_requires_max_(APC_LEVEL)
  bool wants(const record_view<native_seam>& record);

  // filter_state and the message. One caller at a time, and not beside wants().
  _IRQL_requires_max_(APC_LEVEL)
  NTSTATUS read(_Out_writes_bytes_to_(size, written) void* buffer, uint32_t size, uint32_t& written) const;

 private:
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS compile(event_filter& driver, _In_reads_bytes_(bytes) const void* message_untrusted, uint32_t bytes, filter_check& check);
  _IRQL_requires_max_(APC_LEVEL)
  void follow(const record_view<native_seam>& record);
  bool wants_process(uint32_t pid) const { return compiled_.wants_process(pid); }
  _IRQL_requires_max_(APC_LEVEL)
  bool keeps_path(const filter_paths& paths, const record_view<native_seam>& record, uint32_t field, bool known) const;

  compiled_filter compiled_;
  uint64_t since_ = 0;  // stream time
  uint32_t untracked_ = 0;
  record_identity followed_{0, ~uint64_t{0}, 0, 0};  // the last one: it may be offered again
  uint32_t exited_pid_ = 0;  // by it: forgotten with the record that comes next
};

}  // namespace sluice
