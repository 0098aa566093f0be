// What a driver compiles of the pipeline on its producers' side, instantiated for the freestanding gate. Its object must
// need nothing from outside, and must not contain a locked instruction or a fence. The clock is given from outside, as the
// kernel gives it.
#include "pipeline/cpu_rings.h"
#include "pipeline/wake.h"

namespace {

struct borrowed_clock {
  const volatile uint64_t* counter = nullptr;
  uint64_t now() const { return *counter; }
};

using rings = sluice::cpu_rings<sluice::native_seam, borrowed_clock>;
using record = sluice::open_record<sluice::native_seam>;
using wake = sluice::wake_line<sluice::native_seam>;

}  // namespace

extern "C" {

void producer_attach(rings& cpu, const sluice::region_view<sluice::native_seam>& main,
                     const sluice::region_view<sluice::native_seam>& spare, uint64_t critical_types) {
  cpu.attach(main, spare, critical_types);
}

bool producer_write(rings& cpu, uint16_t type, const void* payload, uint32_t length) {
  return cpu.write(type, 1, payload, length) == sluice::reserve_status::ok;
}

bool producer_reserve(rings& cpu, uint16_t type, uint32_t length, record& open) {
  return cpu.reserve(type, 1, length, open) == sluice::reserve_status::ok;
}

void producer_commit(const record& open) { open.close(sluice::record_state::committed); }
void producer_discard(const record& open) { open.close(sluice::record_state::discarded); }

sluice::announcement producer_after_close(const wake& line) { return line.after_close(); }

bool producer_settle(rings& cpu) { return cpu.settle(); }

}  // extern "C"
