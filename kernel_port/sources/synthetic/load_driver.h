// A driver whose own events are made to order: the sensor of the real driver, and a type of its own, "synthetic", that the
// synthetic source has it write. Kernel code; SyntheticDriverEntry is its DriverEntry.
#pragma once

#include <ntifs.h>

namespace sluice::synthetic {

// What every client sees of an own event; filler follows up to the size that was asked for.
struct synthetic_event {
  uint64_t sequence;  // of its producer
  uint32_t producer;
  uint32_t irql;  // at which it was written
};
static_assert(sizeof(synthetic_event) == 16);

// Writes one event of `payload_bytes` (16 at least). At DISPATCH_LEVEL with one copy; below, the record is reserved and
// filled at the caller's IRQL. False: the type is switched off. Up to DISPATCH_LEVEL; not after the driver's unload.
bool write_event(uint64_t sequence, uint32_t producer, uint32_t payload_bytes);

// Whether half of the ring of `cpu` is free. Up to DISPATCH_LEVEL; not after the driver's unload.
bool has_room(uint32_t cpu);

// The number that the type was given.
uint16_t event_type();

// What an own event's payload can be at most.
inline constexpr uint32_t max_event_payload = 4096;

}  // namespace sluice::synthetic

extern "C" NTSTATUS NTAPI SyntheticDriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path);
