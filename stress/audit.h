// The account at rest: everything that all writers were told, against everything that the ledgers, the walk over the rings
// and the consumer say (R3), and every drop against what LOSS records and the published figures announce (R4).
#pragma once

#include "stress/account_check.h"
#include "stress/consumer.h"

namespace sluice::stress {

void check_at_rest(rig& on, const expectation& expected, const std::vector<cpu_account>& taken, const checker& seen);

}  // namespace sluice::stress
