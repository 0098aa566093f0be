#include "producers/compiled_filter.h"

#include "pipeline/copy.h"
#include "producers/process_tree.h"

namespace sluice {

NTSTATUS compiled_filter::create(const kernel_functions& functions, case_table& fold, const void* message_untrusted,
                                 uint32_t bytes, filter_check& check) {
  PAGED_CODE();
  check = {filter_error::none, 0};
  if (bytes > max_filter_bytes) {
    check = {filter_error::total_bytes, offsetof(filter_header, total_bytes)};
    return STATUS_SUCCESS;
  }
  if (bytes < sizeof(filter_header)) {
    check = {filter_error::too_short, 0};
    return STATUS_SUCCESS;
  }
  if (!message_.allocate(functions, bytes)) return STATUS_INSUFFICIENT_RESOURCES;
  copy_bytes(message_.get(), message_untrusted, bytes);  // once: from here on only our copy is looked at
  check = validate_filter(message(), bytes);
  if (check.error != filter_error::none) return STATUS_SUCCESS;
  copy_bytes(&header_, message(), sizeof header_);

  if (header_.images.count != 0 || header_.keys.count != 0) {
    if (!fold.create(functions)) return STATUS_INSUFFICIENT_RESOURCES;
  }
  if (!images_.create(functions, fold, message(), header_.images, true, check) ||
      !keys_.create(functions, fold, message(), header_.keys, false, check)) {
    return check.error != filter_error::none ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
  }

  uint32_t followed = 0;
  for (uint32_t i = 0; i < header_.processes.count; ++i) {
    if ((process_rules()[i].flags & filter_rule_exclude) == 0) wants_other_processes_ = false;
    if ((process_rules()[i].flags & filter_rule_descendants) != 0) followed = process_tree::capacity;
  }
  if (header_.processes.count != 0 && !verdicts_.create(functions, header_.processes.count + followed)) return STATUS_INSUFFICIENT_RESOURCES;
  return create_memories(functions) ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

bool compiled_filter::create_memories(const kernel_functions& functions) {
  PAGED_CODE();
  const uint32_t cpus = maximum_processors();
  LARGE_INTEGER counter_frequency, system_time;
  const uint64_t now = static_cast<uint64_t>(KeQueryPerformanceCounter(&counter_frequency).QuadPart);
  const uint64_t frequency = static_cast<uint64_t>(counter_frequency.QuadPart);
  KeQuerySystemTime(&system_time);
  // Nothing that a process can read tells both.
  hash_key_[0] = now ^ static_cast<uint64_t>(reinterpret_cast<uintptr_t>(this)) << 20;
  hash_key_[1] = static_cast<uint64_t>(system_time.QuadPart) ^ reinterpret_cast<uintptr_t>(message_.get());

  if (header_.repeat_types != 0) {
    repeat_ticks_ = header_.repeat_window_ms * frequency / 1000;
    if (!repeats_.allocate(functions, cpus)) return false;
  }
  if (header_.process_rate_types != 0) {
    process_limits_.set(header_.process_rate, frequency);
    if (!process_buckets_.allocate(functions, cpus)) return false;
  }
  if (header_.type_rates.count == 0) return true;
  if (!type_buckets_.allocate(functions, cpus)) return false;
  for (uint32_t i = 0; i < header_.type_rates.count; ++i) {
    filter_type_rate rate;
    copy_bytes(&rate, message() + header_.type_rates.offset + i * sizeof rate, sizeof rate);
    type_limits_[rate.type].set(rate.rate, frequency);
    for (uint32_t cpu = 0; cpu < cpus; ++cpu) type_buckets_[cpu].of[rate.type].begin(type_limits_[rate.type], now);
  }
  return true;
}

bool compiled_filter::passes_limits(uint32_t cpu, uint16_t type, uint32_t pid, uint64_t hash, uint64_t now,
                                    filter_reason& reason) {
  repeat_memory::entry* remembered = nullptr;
  if (hash != 0 && repeats_[cpu].is_repeat(hash, now, repeat_ticks_, remembered)) {
    reason = filter_reason::repeat;
    return false;
  }
  const bucket_limits& type_limits = type_limits_[type];
  token_bucket* type_bucket = nullptr;
  if (type_limits.per_tick != 0) {
    type_bucket = &type_buckets_[cpu].of[type];
    if (!type_bucket->look(type_limits, now)) {
      reason = filter_reason::type_rate;
      return false;
    }
  }
  if ((header_.process_rate_types >> type & 1) != 0) {
    token_bucket& bucket = process_buckets_[cpu].of(pid, process_limits_, now);
    if (!bucket.look(process_limits_, now)) {
      reason = filter_reason::process_rate;
      return false;
    }
    bucket.take(process_limits_);
  }
  if (type_bucket != nullptr) type_bucket->take(type_limits);
  if (remembered != nullptr) *remembered = {hash, now};
  return true;
}

}  // namespace sluice
