// Test-only: orders for load.sys (load_driver.cpp). METHOD_BUFFERED; fixed width, little-endian.
#pragma once

#include <stdint.h>

namespace sluice::wine {

inline constexpr char16_t load_device_name[] = u"\\Device\\SluiceLoad";
inline constexpr char16_t load_link_name[] = u"\\DosDevices\\SluiceLoad";

inline constexpr uint32_t load_code_order = 0x8001u << 16 | 0x960u << 2;    // in: load_order
inline constexpr uint32_t load_code_figures = 0x8001u << 16 | 0x961u << 2;  // out: load_figures

inline constexpr uint32_t load_thread = 1;  // count 0: ends it
inline constexpr uint32_t load_timer = 2;  // burst 0: stops it
inline constexpr uint32_t load_break = 3;

inline constexpr uint32_t load_break_wait = 1;   // waits at DISPATCH_LEVEL
inline constexpr uint32_t load_break_level = 2;  // calls a PASSIVE_LEVEL function at DISPATCH_LEVEL
inline constexpr uint32_t load_break_pool = 3;   // writes behind a pool block

struct load_order {
  uint32_t what;
  uint32_t burst;  // events in one section
  uint32_t pause;  // load_thread: not 0: 100 us between sections
  uint32_t reserved;
  uint64_t count;  // load_thread: events in all; load_break: which
};

struct load_figures {
  int64_t written;
  int64_t dropped;            // found no room
  int64_t at_dispatch_level;  // timer DPCs that KeGetCurrentIrql told so
  int32_t threads_done;
  int32_t reserved;
};

// A record of 64 bytes.
struct load_event {
  uint64_t sequence;
  uint64_t source;  // load_thread, load_timer
  uint64_t check;
  uint64_t filler[3];
};
static_assert(sizeof(load_event) == 48);

constexpr uint64_t load_check(const load_event& event) { return (event.sequence * 0x9e3779b97f4a7c15) ^ event.source; }

}  // namespace sluice::wine
