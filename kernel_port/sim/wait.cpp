// KeWaitForSingleObject, KeWaitForMultipleObjects, KeDelayExecutionThread.
#include "kernel_port/sim/dispatcher.h"

#include <algorithm>

#include "kernel_port/sim/implementation.h"
#include "kernel_port/sim/irql.h"
#include "kernel_port/sim/time.h"

namespace sluice::sim {
namespace {

bool is_mutex(const DISPATCHER_HEADER& header) {
  return header.Type == static_cast<UCHAR>(dispatcher_type::mutex);
}

bool signaled_for(const DISPATCHER_HEADER& header, const host_thread* host) {
  if (is_mutex(header)) {
    const auto& mutex = reinterpret_cast<const KMUTANT&>(header);
    return header.SignalState > 0 || mutex.OwnerThread == reinterpret_cast<const _KTHREAD*>(host);
  }
  return header.SignalState > 0;
}

// What a satisfied wait does to the object.
void consume(DISPATCHER_HEADER& header, host_thread* host) {
  switch (static_cast<dispatcher_type>(header.Type)) {
    case dispatcher_type::synchronization_event:
    case dispatcher_type::synchronization_timer:
      header.SignalState = 0;
      break;
    case dispatcher_type::semaphore:
      header.SignalState -= 1;
      break;
    case dispatcher_type::mutex:
      header.SignalState -= 1;
      reinterpret_cast<KMUTANT&>(header).OwnerThread = reinterpret_cast<PKTHREAD>(host);
      break;
    default:
      break;
  }
}

// With the lock held: can this request be satisfied now? Then does so.
bool try_satisfy(wait_request& request) {
  if (request.all) {
    for (uint32_t i = 0; i < request.count; ++i) {
      if (!signaled_for(*request.blocks[i].object, request.host)) return false;
    }
    for (uint32_t i = 0; i < request.count; ++i) consume(*request.blocks[i].object, request.host);
    request.result = STATUS_SUCCESS;
    return true;
  }
  for (uint32_t i = 0; i < request.count; ++i) {
    if (!signaled_for(*request.blocks[i].object, request.host)) continue;
    consume(*request.blocks[i].object, request.host);
    request.result = STATUS_WAIT_0 + static_cast<NTSTATUS>(i);
    return true;
  }
  return false;
}

void unlink(wait_request& request) {
  for (uint32_t i = 0; i < request.count; ++i) RemoveEntryList(&request.blocks[i].link);
}

NTSTATUS wait_on(wait_request& request, std::optional<deadline> until, bool poll) {
  the_scheduler.point(point_kind::wait);
  request.host = self().host;
  internal_section section;
  std::unique_lock lock(dispatcher_mutex);
  if (try_satisfy(request)) return request.result;
  if (poll) return STATUS_TIMEOUT;
  for (uint32_t i = 0; i < request.count; ++i) {
    wait_block& block = request.blocks[i];
    InsertTailList(&block.object->WaitListHead, &block.link);
  }
  for (;;) {
    lock.unlock();
    the_scheduler.wait(request.host->park, until);
    lock.lock();
    if (request.done) return request.result;
    if (until && the_scheduler.now() >= *until) {
      unlink(request);
      return STATUS_TIMEOUT;
    }
  }
}

void require_object(const void* object, const char* function) {
  if (!object) stop(bug::PAGE_FAULT_IN_NONPAGED_AREA, 0, 0, 0, 0, "%s for a null object.", function);
  switch (static_cast<dispatcher_type>(static_cast<const DISPATCHER_HEADER*>(object)->Type)) {
    case dispatcher_type::notification_event:
    case dispatcher_type::synchronization_event:
    case dispatcher_type::mutex:
    case dispatcher_type::process:
    case dispatcher_type::semaphore:
    case dispatcher_type::thread:
    case dispatcher_type::notification_timer:
    case dispatcher_type::synchronization_timer:
      return;
  }
  stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE1, as_argument(object), 0, 0,
       "%s for something that is no dispatcher object, or was never initialized.", function);
}

// The IRQL rules of a wait. True: only look, do not wait.
bool check_wait(const void* object, PLARGE_INTEGER timeout, const char* function) {
  const thread_state& thread = self();
  if (thread.irql == irql_unattached)
    misuse("%s was called on a host thread that holds no activity", function);
  const bool poll = timeout && timeout->QuadPart == 0;
  if (thread.irql <= APC_LEVEL || (poll && thread.irql == DISPATCH_LEVEL)) return poll;
  if (thread.in_dpc && !poll) {
    stop(bug::ATTEMPTED_SWITCH_FROM_DPC, as_argument(thread.host), as_argument(object), 0, 0,
         "%s was called by a DPC: it may not wait.", function);
  }
  const uint64_t violation = thread.irql > DISPATCH_LEVEL ? 0x120 : timeout ? 0x122 : 0x121;
  stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, violation, as_argument(&thread.irql), as_argument(object),
       as_argument(timeout), "%s was called at IRQL %u; a thread may wait at APC_LEVEL at most.", function,
       thread.irql);
}

void entered_mutexes(const wait_request& request) {
  if (!NT_SUCCESS(request.result)) return;
  for (uint32_t i = 0; i < request.count; ++i) {
    const DISPATCHER_HEADER& header = *request.blocks[i].object;
    const bool taken = request.all || request.result == STATUS_WAIT_0 + static_cast<NTSTATUS>(i);
    // Only the first acquisition counts; SignalState is 0 after it.
    if (taken && is_mutex(header) && header.SignalState == 0) self().critical += 1;
  }
}

NTSTATUS wait_checked(uint32_t count, PVOID* objects, bool all, PLARGE_INTEGER timeout,
                      const char* function) {
  if (count == 0 || count > MAXIMUM_WAIT_OBJECTS) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE1, count, 0, 0,
         "%s for %u objects; at most 64 are allowed.", function, count);
  }
  const bool poll = check_wait(objects[0], timeout, function);
  wait_block blocks[MAXIMUM_WAIT_OBJECTS];
  wait_request request;
  request.all = all;
  request.count = count;
  request.blocks = blocks;
  for (uint32_t i = 0; i < count; ++i) {
    require_object(objects[i], function);
    blocks[i].object = static_cast<DISPATCHER_HEADER*>(objects[i]);
    blocks[i].request = &request;
    blocks[i].index = i;
  }
  std::optional<deadline> until;
  if (timeout && !poll) until = deadline_of(*timeout);
  const NTSTATUS status = wait_on(request, until, poll);
  if (status != STATUS_TIMEOUT) entered_mutexes(request);
  return status;
}

}  // namespace

void satisfy_waiters(DISPATCHER_HEADER& header) {
  PLIST_ENTRY entry = header.WaitListHead.Flink;
  while (entry != &header.WaitListHead && header.SignalState > 0) {
    wait_request& request = *CONTAINING_RECORD(entry, wait_block, link)->request;
    entry = entry->Flink;
    if (!try_satisfy(request)) continue;
    // The next entry may belong to the same request (an object waited for twice): start again.
    unlink(request);
    request.done = true;
    the_scheduler.wake(request.host->park);
    entry = header.WaitListHead.Flink;
  }
}

NTSTATUS wait_for(DISPATCHER_HEADER& header, std::optional<deadline> until) {
  wait_block block{};
  wait_request request;
  block.object = &header;
  block.request = &request;
  request.count = 1;
  request.blocks = &block;
  return wait_on(request, until, false);
}

deadline deadline_of(LARGE_INTEGER timeout) {
  const auto now = the_scheduler.now();
  const int64_t relative = timeout.QuadPart <= 0
                               ? -timeout.QuadPart
                               : timeout.QuadPart - static_cast<int64_t>(system_time_precise());
  if (relative <= 0) return now;
  // A hundred years are for ever, and do not overflow.
  constexpr int64_t longest = int64_t{100} * 365 * 24 * 3600 * 10'000'000;
  return now + std::chrono::nanoseconds(std::min(relative, longest / 1000) * 100);
}

}  // namespace sluice::sim

using namespace sluice::sim;

extern "C" {

NTSTATUS KeWaitForSingleObject(PVOID Object, KWAIT_REASON, KPROCESSOR_MODE, BOOLEAN, PLARGE_INTEGER Timeout) {
  return wait_checked(1, &Object, false, Timeout, "KeWaitForSingleObject");
}

NTSTATUS ZwWaitForSingleObject(HANDLE Handle, BOOLEAN, PLARGE_INTEGER Timeout) {
  require_irql_at_most(PASSIVE_LEVEL, "ZwWaitForSingleObject");
  PVOID object = the_machine().handles.reference(Handle);
  if (object == nullptr) return STATUS_INVALID_HANDLE;
  const NTSTATUS status = wait_checked(1, &object, false, Timeout, "ZwWaitForSingleObject");
  dereference_object(object);
  return status;
}

NTSTATUS KeWaitForMultipleObjects(ULONG Count, PVOID Object[], WAIT_TYPE WaitType, KWAIT_REASON,
                                  KPROCESSOR_MODE, BOOLEAN, PLARGE_INTEGER Timeout,
                                  PKWAIT_BLOCK WaitBlockArray) {
  if (Count > THREAD_WAIT_OBJECTS && !WaitBlockArray) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE1, Count, 0, 0,
         "KeWaitForMultipleObjects for more than %u objects needs a WaitBlockArray "
         "(Windows: MAXIMUM_WAIT_OBJECTS_EXCEEDED).",
         THREAD_WAIT_OBJECTS);
  }
  return wait_checked(Count, Object, WaitType == WaitAll, Timeout, "KeWaitForMultipleObjects");
}

NTSTATUS KeDelayExecutionThread(KPROCESSOR_MODE, BOOLEAN, PLARGE_INTEGER Interval) {
  thread_state& thread = self();
  if (thread.irql != irql_unattached && thread.irql > APC_LEVEL) {
    LARGE_INTEGER interval = *Interval;
    if (interval.QuadPart == 0) interval.QuadPart = -1;  // yields: a switch in any case
    check_wait(nullptr, &interval, "KeDelayExecutionThread");
  }
  require_irql_at_most(APC_LEVEL, "KeDelayExecutionThread");
  the_scheduler.point(point_kind::wait);
  const deadline until = deadline_of(*Interval);
  while (the_scheduler.now() < until) the_scheduler.wait(thread.host->park, until);
  return STATUS_SUCCESS;
}
}
