// Dispatcher objects: what a thread can wait for. One lock for all of them, as on NT before Windows 7; the
// objects themselves are in the driver's memory.
#pragma once

#include "kernel_port/sim/check.h"
#include "kernel_port/sim/internal_lock.h"
#include "kernel_port/sim/scheduler.h"

namespace sluice::sim {

// DISPATCHER_HEADER::Type, NT's numbers.
enum class dispatcher_type : UCHAR {
  notification_event = 0,
  synchronization_event = 1,
  mutex = 2,
  process = 3,
  semaphore = 5,
  thread = 6,
  notification_timer = 8,
  synchronization_timer = 9,
};

struct wait_block;

// One thread's wait, on its stack.
struct wait_request {
  host_thread* host = nullptr;
  bool all = false;
  bool done = false;
  uint32_t count = 0;
  wait_block* blocks = nullptr;
  NTSTATUS result = STATUS_SUCCESS;
};

struct wait_block {
  LIST_ENTRY link;
  DISPATCHER_HEADER* object;
  wait_request* request;
  uint32_t index;
};

extern internal_mutex dispatcher_mutex;

void initialize_header(DISPATCHER_HEADER& header, dispatcher_type type, LONG state);
// With dispatcher_mutex held: gives `header`'s signal to those who wait for it.
void satisfy_waiters(DISPATCHER_HEADER& header);
// Takes the lock, sets the state to 1 and satisfies; the previous state.
LONG signal_object(DISPATCHER_HEADER& header);

// Waits without NT's rules, for the machine's own use (waiting for a thread to end, a request to complete).
NTSTATUS wait_for(DISPATCHER_HEADER& header, std::optional<deadline> until = {});

// KeWait*'s Timeout as a deadline: relative if negative, else absolute system time.
deadline deadline_of(LARGE_INTEGER timeout);

}  // namespace sluice::sim
