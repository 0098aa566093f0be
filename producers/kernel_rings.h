// The rings of one CPU as a kernel has them: over the native seam, with the kernel's counter as the clock.
//
// `write` and `reserve` of the template are inlined into whoever calls them: where the length is a constant there, that makes the
// copy a few moves. `..._out_of_line` are functions, compiled once (kernel_rings.cpp): what the library itself calls, with
// everything that they call. A user build of the producers links the same file, and a test compares the machine code of both
// (tests/gates/same_code.py). In the section, as all of it (pipeline/cpu_rings.h).
#pragma once

#include "kernel_port/nt/nt.h"
#include "pipeline/cpu_rings.h"
#include "producers/events.h"

namespace sluice {

struct kernel_clock {
  uint64_t now() { return static_cast<uint64_t>(KeQueryPerformanceCounter(nullptr).QuadPart); }
};
using kernel_record = open_record<native_seam>;

class kernel_rings : public cpu_rings<native_seam, kernel_clock> {
 public:
  using cpu_rings::cpu_rings;

  [[nodiscard]] _IRQL_requires_(DISPATCH_LEVEL)
  reserve_status write_out_of_line(uint16_t type, uint8_t version, const void* payload, uint32_t length);
  // `context`: null, or what the payload begins with, before the record can be seen.
  [[nodiscard]] _IRQL_requires_(DISPATCH_LEVEL)
  reserve_status reserve_out_of_line(uint16_t type, uint8_t version, uint32_t length, kernel_record& record,
                                                   const event_context* context);
  _IRQL_requires_(DISPATCH_LEVEL)
  bool settle();
  _IRQL_requires_(DISPATCH_LEVEL)
  restart restart_consumer();
};

}  // namespace sluice
