// Suspension and interprocessor calls reach a thread by a real-time signal.
#pragma once

#include "kernel_port/sim/thread_state.h"

namespace sluice::sim {

void install_request_signal();
void send_request(host_thread& host);
void answer_interprocessor(thread_state& thread);  // interprocessor.cpp

}  // namespace sluice::sim
