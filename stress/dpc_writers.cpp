#include "stress/dpc_writers.h"

namespace sluice::stress {

dpc_writers::one::one(rig& on, uint32_t number, uint32_t cpu)
    : shared(on), events(on, number), random(on.options.seed * 7919 + number) {
  PROCESSOR_NUMBER target{};
  KeGetProcessorNumberFromIndex(cpu, &target);
  KeInitializeDpc(&dpc, &run, this);
  KeSetTargetProcessorDpcEx(&dpc, &target);
}

dpc_writers::dpc_writers(rig& on, uint32_t first_writer) {
  for (uint32_t i = 0; i < on.options.cpus * per_cpu; ++i) dpcs_.emplace_back(on, first_writer + i, i / per_cpu);
}

void dpc_writers::queue(uint32_t cpu, uint32_t which) {
  KeInsertQueueDpc(&dpcs_[cpu * per_cpu + which % per_cpu].dpc, nullptr, nullptr);
}

uint64_t dpc_writers::runs() const {
  uint64_t sum = 0;
  for (const one& each : dpcs_) sum += each.runs;
  return sum;
}

// At DISPATCH_LEVEL: writes a few, reserves and closes, reserves and leaves the closing to another thread.
VOID NTAPI dpc_writers::run(PKDPC, PVOID context, PVOID, PVOID) {
  one& self = *static_cast<one*>(context);
  ++self.runs;
  const bool critical = self.shared.options.critical && self.random.one_in(4);
  const uint16_t type = critical ? event_type::section_critical : event_type::section;
  const uint32_t length = sizeof(event_head) + self.random.below(128);
  switch (self.random.below(4)) {
    case 0:
    case 1: (void)self.events.write_in_section(type, length); break;
    case 2: {
      held_record held;
      const bool keep = !self.shared.options.discards || !self.random.one_in(8);
      if (!self.events.reserve_in_section(type, length, keep, held)) break;
      self.shared.fill(held.record.payload(), held.head, false);
      (void)self.events.write_in_section(event_type::section, sizeof(event_head));  // over the open one
      self.shared.finish(held);
      break;
    }
    case 3: {
      held_record held;
      if (!self.events.reserve_in_section(type, length, true, held)) break;
      self.shared.fill(held.record.payload(), held.head, false);
      if (!self.shared.options.hand_over || !self.shared.hand_over.push(held)) self.shared.finish(held);
      break;
    }
  }
}

}  // namespace sluice::stress
