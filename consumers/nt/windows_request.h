// Requests of a handle that may pend, each with an event to wait for: what devices and ports on Windows have in common.
//
// Any thread, but for the destructor.
#pragma once

#include <windows.h>
#include <winternl.h>

#include <mutex>
#include <vector>

#include "consumers/nt/system.h"

namespace sluice {

struct handle_closer {
  using pointer = HANDLE;
  void operator()(HANDLE handle) const { ::CloseHandle(handle); }
};
using unique_handle = std::unique_ptr<void, handle_closer>;

// Events that are used again: making one is a call of the system's.
class event_pool {
 public:
  // Null: there is no room for one.
  unique_handle take();
  void give_back(unique_handle event);

 private:
  std::mutex mutex_;
  std::vector<unique_handle> free_;
};

// Until the request of `event` is over, or its time: then it is taken back, and if it was over before that, it has its result. False: it
// was taken back. `file`: what it was begun on; `answer`: with it.
bool wait_for_answer(HANDLE file, HANDLE event, IO_STATUS_BLOCK& answer, nt_timeout timeout);

// CancelIoEx: every request of `file`, by whichever thread.
void cancel_requests(HANDLE file);

}  // namespace sluice
