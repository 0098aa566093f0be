// The account of a loaded driver against what everybody else says. One thread at a time.
#pragma once

#include <map>
#include <vector>

#include "stress/driver_client.h"

namespace sluice::stress {

// Asks for statistics while everything runs, and checks each answer: R3.
class statistics_reader {
 public:
  // `room`: bytes for an answer, 0x100 for each CPU and type that can occur.
  explicit statistics_reader(sim::machine& machine, size_t room = 4 << 20);

  std::vector<protocol::statistics_row> take(protocol::statistics_header& header);
  uint64_t taken() const { return taken_; }

 private:
  sim::file file_;
  std::vector<uint8_t> buffer_;
  std::map<uint32_t, account_row> last_;
  uint64_t taken_ = 0;
};

// What the writers of own events say of them.
struct own_tally {
  uint16_t type;
  uint64_t attempted, kept, discarded;
};

// At rest: the machine's count of what it raised, the driver's account, what the client received and was told of. Adds up `sum`.
// `sometimes_off`: bit n, type n was switched off for a while, and what was raised then is not attempted.
// `announces_too_much`: records that were set aside in an overwriting ring may have been told of though they were discarded (O3).
void check_all(const std::vector<protocol::statistics_row>& rows, const driver_client& client, const own_tally& own,
               bool announces_too_much, uint64_t sometimes_off, account_row& sum);

}  // namespace sluice::stress
