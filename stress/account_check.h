// R3 on one CPU: takes the ledger's rows in the CPU's section, walks the headers of what is still in the rings, and so has
// committed, discarded and open from sources of their own. By the consumer's thread: nothing is released meanwhile.
#pragma once

#include <array>

#include "stress/checker.h"

namespace sluice::stress {

struct cpu_account {
  std::array<account_row, max_record_types> rows{};       // ledger and walk together
  std::array<uint64_t, max_record_types> before_cursor{};  // committed records that the consumer has passed
  std::array<uint64_t, max_record_types> attempted_truth{};
  uint64_t violations = 0;
};

// `readers`: the two lanes of the CPU. Moves the calling thread to that CPU.
cpu_account take_account(rig& on, uint32_t cpu, ring_reader<native_seam>* readers);

// While everything runs: the rows balance, agree with the truth about section types, and have not gone back.
void check_running_account(const rig& on, uint32_t cpu, const cpu_account& now, cpu_account& last, const checker& seen,
                           uint32_t outstanding);

}  // namespace sluice::stress
