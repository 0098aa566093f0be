// Asks the driver for statistics while everything runs, and checks each answer: R3.
#pragma once

#include <map>
#include <vector>

#include "kernel_port/driver/protocol.h"
#include "kernel_port/sim/machine.h"

namespace sluice::stress {

// One thread at a time. Holds a handle to the device.
class statistics_reader {
 public:
  explicit statistics_reader(sim::machine& machine);

  // The rows; each balances, and no count has gone back since the last time.
  std::vector<protocol::statistics_row> take(protocol::statistics_header& header);
  uint64_t taken() const { return taken_; }

 private:
  sim::file file_;
  std::vector<uint8_t> buffer_;
  std::map<uint32_t, account_row> last_;
  uint64_t taken_ = 0;
};

}  // namespace sluice::stress
