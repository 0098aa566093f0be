// The consumer's word, forged as a hostile client would: R5. After the consumer has stopped, with every ring empty.
#pragma once

#include "stress/writer.h"

namespace sluice::stress {

void check_forged_words(rig& on, writer& by);

}  // namespace sluice::stress
