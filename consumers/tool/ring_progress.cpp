#include "consumers/tool/ring_progress.h"

#include <cstring>

#include "kernel_port/driver/protocol.h"

namespace sluice::tool {

ring_progress::ring_progress(event_source& driver)
    : driver_(driver),
      cpus_(driver.capabilities().cpu_count),
      answer_(sizeof(protocol::ring_copy) + driver.capabilities().max_record_bytes) {}

bool ring_progress::look() {
  bool empty = true;
  taken_ = 0;
  for (uint32_t cpu = 0; cpu < cpus_; ++cpu) {
    for (uint8_t lane = 0; lane < 2; ++lane) {
      const protocol::ring_copy_request request{protocol::version, static_cast<uint16_t>(cpu), lane, 0};
      if (driver_.copy_ring(request, answer_) == 0) continue;  // a CPU that does not run yet
      protocol::ring_copy about;
      std::memcpy(&about, answer_.data(), sizeof about);
      taken_ += about.consumed;
      empty &= about.consumed == about.until;
    }
  }
  return empty;
}

}  // namespace sluice::tool
