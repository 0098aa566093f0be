// Two drivers for the transport benchmarks, kernel code: the sensor with an own event of 64 bytes, and what is found in many
// drivers instead.
#pragma once

#include <ntifs.h>

namespace sluice::bench {

inline constexpr uint32_t load_payload_bytes = 64;

// The sensor's events. Not after the driver's unload.
//
// Writes `count` events from where the caller runs, numbered from `first`. Never more than half a ring is ahead of the reader: a
// caller that is, sleeps. Returns how many were dropped all the same. PASSIVE_LEVEL.
uint64_t write_behind_reader(uint64_t first, uint64_t count);
// One event, whoever reads. `due`: for whoever reads, when it should have happened. False: dropped.
bool write_one(uint64_t sequence, uint64_t due);
// Where the ring of the caller's CPU stands, and what it holds of such events.
struct load_ring {
  uint32_t published;
  uint32_t consumed;
};
load_ring ring_of_load();
uint32_t room_of_load();  // bytes

// The textbook: each event is allocated and linked into a list under a spin lock; a client asks for the list from time to time
// with a device control (textbook_code_take), which copies out as many as its buffer holds.
inline constexpr char16_t textbook_link[] = u"\\DosDevices\\Textbook";
inline constexpr uint32_t textbook_code_take = 0x8000'2000 | 1 << 14;  // FILE_READ_ACCESS, METHOD_BUFFERED
struct textbook_event {
  uint64_t time;
  uint8_t payload[load_payload_bytes];
};
static_assert(sizeof(textbook_event) == 72);
// While this many wait, the caller sleeps.
inline constexpr uint32_t textbook_most = 8192;
void textbook_write(uint64_t sequence);

}  // namespace sluice::bench

extern "C" {
DRIVER_INITIALIZE LoadDriverEntry;
DRIVER_INITIALIZE TextbookDriverEntry;
}
