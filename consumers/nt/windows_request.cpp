#include "consumers/nt/windows_request.h"

#include <algorithm>

extern "C" NTSYSAPI NTSTATUS NTAPI NtCancelIoFileEx(HANDLE file, PIO_STATUS_BLOCK of, PIO_STATUS_BLOCK answer);

namespace sluice {

unique_handle event_pool::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      unique_handle event = std::move(free_.back());
      free_.pop_back();
      return event;
    }
  }
  return unique_handle(::CreateEventW(nullptr, TRUE, FALSE, nullptr));  // by hand: the kernel resets it when a request begins
}

void event_pool::give_back(unique_handle event) {
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(event));
}

bool wait_for_answer(HANDLE file, HANDLE event, IO_STATUS_BLOCK& answer, nt_timeout timeout) {
  constexpr std::chrono::hours for_ever{24 * 365 * 10};
  LARGE_INTEGER relative{};
  PLARGE_INTEGER limit = nullptr;
  if (timeout && *timeout < for_ever) {
    const int64_t nanoseconds = std::max<int64_t>(timeout->count(), 0);
    relative.QuadPart = -((nanoseconds + 99) / 100);
    limit = &relative;
  }
  if (::NtWaitForSingleObject(event, FALSE, limit) != nt::timeout) return true;
  IO_STATUS_BLOCK ignored{};
  (void)::NtCancelIoFileEx(file, &answer, &ignored);  // STATUS_NOT_FOUND: it is over
  ::NtWaitForSingleObject(event, FALSE, nullptr);
  return answer.Status != nt::cancelled;
}

void cancel_requests(HANDLE file) {
  IO_STATUS_BLOCK ignored{};
  (void)::NtCancelIoFileEx(file, nullptr, &ignored);
}

}  // namespace sluice
