// Whether a thing that can be waited for is ready, or becomes so in time.
#pragma once

#include <chrono>

#include "consumers/os/wait_handle.h"

namespace sluice::test {

bool is_ready(wait_handle what, std::chrono::milliseconds timeout);

}  // namespace sluice::test
