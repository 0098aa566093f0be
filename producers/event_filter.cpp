#include "producers/event_filter.h"

#include "producers/event_decision.h"

namespace sluice {

bool event_filter::create(const kernel_functions& functions) {
  PAGED_CODE();
  functions_ = &functions;
  KeInitializeEvent(&turn_, SynchronizationEvent, TRUE);
  return snapshot_.create(functions) && tree_.create(functions) &&
         rows_.allocate(functions, maximum_processors());
}

void event_filter::destroy(compiled_filter* filter) {
  PAGED_CODE();
  if (filter == nullptr) return;
  filter->~compiled_filter();
  ExFreePoolWithTag(filter, pool_tag);
}

NTSTATUS event_filter::set(const void* message_untrusted, uint32_t bytes, filter_answer& answer) {
  PAGED_CODE();
  const turn mine(turn_);
  void* const memory = allocate_nonpaged(*functions_, sizeof(compiled_filter));
  if (memory == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
  compiled_filter* const made = new (in_place{}, memory) compiled_filter();
  filter_check check{};
  const NTSTATUS status = make(message_untrusted, bytes, *made, check, [this](process_verdicts& verdicts, const filter_process* rules, uint32_t count) {
    return tree_.follow(verdicts, rules, count);
  });
  if (!NT_SUCCESS(status)) {
    destroy(made);
    return status;
  }
  if (check.error == filter_error::none) {
    replace(made);
  } else {
    destroy(made);
  }
  answer = {static_cast<uint32_t>(check.error), check.offset, generation_};
  return STATUS_SUCCESS;
}

NTSTATUS event_filter::compile(const void* message_untrusted, uint32_t bytes, compiled_filter& made, filter_check& check) {
  PAGED_CODE();
  const turn mine(turn_);
  return make(message_untrusted, bytes, made, check, [this](process_verdicts& verdicts, const filter_process* rules, uint32_t count) {
    return tree_.judge(verdicts, rules, count);
  });
}

template <class judge>
NTSTATUS event_filter::make(const void* message_untrusted, uint32_t bytes, compiled_filter& made, filter_check& check,
                            judge&& families) {
  PAGED_CODE();
  const NTSTATUS status = made.create(*functions_, fold_, message_untrusted, bytes, check);
  const uint32_t count = made.header().processes.count;
  if (!NT_SUCCESS(status) || check.error != filter_error::none || count == 0) return status;
  const filter_process* const rules = made.process_rules();
  if (const uint32_t twice = families(made.verdicts(), rules, count); twice != count) {
    check = {filter_error::process_twice,
             static_cast<uint32_t>(made.header().processes.offset + twice * sizeof(filter_process))};
  }
  return status;
}

void event_filter::clear(filter_answer& answer) {
  PAGED_CODE();
  const turn mine(turn_);
  replace(nullptr);
  answer = {static_cast<uint32_t>(filter_error::none), 0, generation_};
}

void event_filter::replace(compiled_filter* next) {
  PAGED_CODE();
  ++generation_;
  in_force_ = next;
  compiled_filter* const former = snapshot_.replace(next);
  if (former == nullptr) return;
  tree_.forget(former->verdicts());
  destroy(former);
}

NTSTATUS event_filter::read(void* buffer, uint32_t size, uint32_t& written) {
  PAGED_CODE();
  const turn mine(turn_);
  filter_state state{generation_, in_force_ != nullptr ? in_force_->message_bytes() : 0, tree_.untracked()};
  if (size < sizeof state) return STATUS_BUFFER_TOO_SMALL;
  copy_bytes(buffer, &state, sizeof state);
  written = sizeof state;
  if (state.message_bytes == 0) return STATUS_SUCCESS;
  if (size - sizeof state < state.message_bytes) return STATUS_BUFFER_OVERFLOW;
  copy_bytes(static_cast<uint8_t*>(buffer) + sizeof state, in_force_->message(), state.message_bytes);
  written += state.message_bytes;
  return STATUS_SUCCESS;
}

bool event_filter::keeps_own(uint16_t type, const void* payload, uint32_t length) {
  if (type < first_own_type || type >= max_record_types) return true;  // the library's own are asked about where they arise
  event_decision decision(*this, type);
  if (!decision.wants()) return false;
  if (payload == nullptr) return decision.keeps_unidentified();
  return decision.keeps(0, [&](key_hash& hash) { hash.add(payload, length); });
}

}  // namespace sluice
