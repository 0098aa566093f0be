#include "stress/hostile.h"

namespace sluice::stress {
namespace {

constexpr uint32_t forged_payload = sizeof(event_head);
constexpr uint32_t stride = record_header_size + forged_payload;

struct outcome {
  uint64_t violations;
  uint32_t reclaimed_before;
  uint32_t reclaimed_after;
  uint64_t dropped;
};

// Writes until the ring is full and has had to look at the word, which says `forged` bytes behind the first record.
outcome write_against(rig& on, uint32_t cpu, uint32_t forged) {
  rig::pin_to(cpu);
  kernel_rings& rings = on.channel.rings(cpu);
  consumer_page<native_seam>& word = *on.channel.region(cpu, lane_main).consumer;
  const uint32_t capacity = on.options.ring_bytes;
  outcome result{};
  const dispatch_section section;
  while (!rings.settle()) {
  }
  result.reclaimed_before = rings.where().reclaimed[lane_main];
  const uint64_t dropped_before =
      rings.row(event_type::duet).dropped[static_cast<uint32_t>(drop_reason::violation)];
  const uint8_t payload[forged_payload] = {};
  // Two records first, so that there is something to forge about.
  for (uint32_t i = 0; i < 2; ++i) (void)on.channel.write(event_type::duet, 1, payload, forged_payload);
  word.consumed.store(result.reclaimed_before + forged, memory_order::release);
  for (uint32_t i = 0; i < 2 * capacity / stride; ++i) (void)on.channel.write(event_type::duet, 1, payload, forged_payload);
  result.violations = rings.violations();
  result.reclaimed_after = rings.where().reclaimed[lane_main];
  result.dropped = rings.row(event_type::duet).dropped[static_cast<uint32_t>(drop_reason::violation)] - dropped_before;
  return result;
}

}  // namespace

void check_forged_words(rig& on, writer&) {
  struct forgery {
    const char* what;
    uint32_t bytes;      // behind the reclaimed position
    uint32_t reclaimed;  // what may be given back at most
  };
  const forgery forgeries[] = {
      {"far ahead of the write position", on.options.ring_bytes * 4, 0},
      {"inside a record", stride + 8, stride},
      {"behind what was given back", 0u - stride, 0},
  };
  uint32_t cpu = 0;
  for (const forgery& each : forgeries) {
    if (cpu == on.options.cpus) return;
    const outcome seen = write_against(on, cpu, each.bytes);
    if (seen.violations == 0) broken("R5", cpu, "a consumer's word {} was not noticed", each.what);
    if (seen.reclaimed_after - seen.reclaimed_before > each.reclaimed) {
      broken("R5", cpu, "a consumer's word {} made the ring give back {} bytes", each.what,
             seen.reclaimed_after - seen.reclaimed_before);
    }
    if (seen.dropped == 0) broken("R5", cpu, "after a consumer's word {}, nothing was dropped for it", each.what);
    ++cpu;
  }
}

}  // namespace sluice::stress
