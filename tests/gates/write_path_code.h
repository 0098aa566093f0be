// The write path as a driver compiles it: functions that are called, with the processor's own counter as the clock.
// write_path.py lists their instructions. x86-64.
#pragma once

#include "pipeline/cpu_rings.h"
#include "pipeline/wake.h"

namespace sluice::write_path {

struct counter_clock {
  uint64_t now() { return __builtin_ia32_rdtsc(); }
};
using rings = cpu_rings<native_seam, counter_clock>;
using record = open_record<native_seam>;
using wake = wake_line<native_seam>;

// What they are given, and what came of it.
struct call {
  rings* cpu;
  const wake* line;
  const uint8_t* payload;
  uint8_t* floor;  // where the floor copies to
  record open;
  uint32_t length;
  uint16_t type;
  uint32_t result;  // reserve_status | announcement
};
inline constexpr uint16_t event_type = 40;
inline constexpr uint32_t event_length = 64;

}  // namespace sluice::write_path

extern "C" {
// Type and length known at run time only.
uint32_t write_path_write(sluice::write_path::rings& cpu, const sluice::write_path::wake& line, uint16_t type,
                          const void* payload, uint32_t length);
// As most callers have it: an event of one type, a struct of 64 bytes.
uint32_t write_path_write_event(sluice::write_path::rings& cpu, const sluice::write_path::wake& line, const void* payload);
uint32_t write_path_reserve(sluice::write_path::rings& cpu, uint16_t type, uint32_t length,
                            sluice::write_path::record& open);
uint32_t write_path_commit(const sluice::write_path::record& open, const sluice::write_path::wake& line);
// One clock read, and a copy of the same bytes: what no write does without.
void write_path_floor(uint8_t* to, const void* payload, uint32_t length);
void write_path_floor_event(uint8_t* to, const void* payload);
}
