#include "stress/rig.h"

#include <sched.h>

#include <algorithm>

#include "stress/random.h"

namespace sluice::stress {

bool hand_over_queue::push(const held_record& held) {
  const spin_lock_scope lock(lock_);
  if (count_ == capacity) return false;
  open_.fetch_add(1, std::memory_order_relaxed);
  held_[count_++] = held;
  return true;
}

// The newest first: records come out in another order than they went in.
bool hand_over_queue::pop(held_record& held) {
  const spin_lock_scope lock(lock_);
  if (count_ == 0) return false;
  held = held_[--count_];
  return true;
}

rig::rig(sim::machine& on, const stress_options& with)
    : machine(on), options(with), filler(with.max_record), truth(new cpu_truth[with.cpus]),
      longest_payload(with.max_record - record_header_size) {
  kernel_functions functions{};
  resolve_kernel_functions(functions);
  const uint32_t spare_longest = std::max(max_loss_record, with.spare_bytes / 4 & ~(record_alignment - 1));
  channel_options of_channel{};
  of_channel.main = {with.ring_bytes, with.max_record, with.critical_bytes};
  of_channel.spare = {with.spare_bytes, std::min(with.max_record, spare_longest), 0};
  of_channel.boot = 1;
  of_channel.critical_types = critical_types;
  of_channel.wake_threshold = with.ring_bytes / 4;
  of_channel.start_position = with.start_position;
  const NTSTATUS status = channel.create(functions, of_channel);
  if (!NT_SUCCESS(status)) broken("set-up", no_cpu, "channel::create gave status {:#x}", static_cast<uint32_t>(status));
  channel.set_types(~uint64_t{0});
}

rig::~rig() { set_dump({}); }

void rig::fill(uint8_t* payload, event_head& head, bool context_stands) const {
  put_event(payload, head, filler, context_stands);
}

void rig::check_still_open(const held_record& held) const {
  const uint32_t consumed = channel.region(held.cpu, held.lane).consumer->consumed.load(memory_order::acquire);
  if (static_cast<int32_t>(consumed - held.position) > 0) {
    broken("R1", held.cpu, "the consumer gave back the room up to {:#x}, past a record at {:#x} (lane {}) that is open",
           consumed, held.position, held.lane);
  }
}

void rig::finish(const held_record& held) {
  check_still_open(held);
  if (held.record.payload_length() >= sizeof(event_head)) {
    event_head now;
    if (const char* wrong = check_event(held.record.payload(), held.record.payload_length(), filler, now)) {
      broken("R1", held.cpu, "an open record at {:#x} (lane {}) was overwritten: {}", held.position, held.lane, wrong);
    }
  }
  channel.close(held.record, held.keep ? record_state::committed : record_state::discarded, held.cpu, held.type);
}

bool rig::drained() const {
  for (uint32_t cpu = 0; cpu < options.cpus; ++cpu) {
    for (uint32_t lane = 0; lane < lanes_per_cpu; ++lane) {
      const region_view<native_seam>& view = channel.region(cpu, lane);
      if (view.consumer->consumed.load(memory_order::acquire) != view.producer->published.load(memory_order::acquire)) {
        return false;
      }
    }
  }
  return true;
}

void rig::pin_to(uint32_t cpu) {
  PROCESSOR_NUMBER number{};
  KeGetProcessorNumberFromIndex(cpu, &number);
  GROUP_AFFINITY affinity{};
  affinity.Group = number.Group;
  affinity.Mask = KAFFINITY{1} << number.Number;
  KeSetSystemGroupAffinityThread(&affinity, nullptr);
}

void disturb(random_source& random, const stress_options& options) {
  if (!options.preempt) return;
  const uint32_t what = random.below(256);
  if (what < 8) {
    sched_yield();
  } else if (what < 40) {
    for (uint32_t i = random.below(200); i != 0; --i) YieldProcessor();
  } else if (what == 40) {
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(300)));
  }
}

}  // namespace sluice::stress
