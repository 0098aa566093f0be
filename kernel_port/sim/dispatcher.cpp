#include "kernel_port/sim/dispatcher.h"

#include "kernel_port/sim/implementation.h"

namespace sluice::sim {

internal_mutex dispatcher_mutex;

void initialize_header(DISPATCHER_HEADER& header, dispatcher_type type, LONG state) {
  header.Lock = 0;
  header.Type = static_cast<UCHAR>(type);
  header.Size = sizeof(KEVENT) / 4;
  header.SignalState = state;
  InitializeListHead(&header.WaitListHead);
}

LONG signal_object(DISPATCHER_HEADER& header) {
  the_scheduler.point(point_kind::wake);
  internal_lock lock(dispatcher_mutex);
  const LONG previous = header.SignalState;
  header.SignalState = 1;
  if (previous <= 0) satisfy_waiters(header);
  return previous;
}

}  // namespace sluice::sim

using namespace sluice::sim;

namespace {

void require_signal_irql(const void* object, BOOLEAN wait, const char* function) {
  const thread_state& thread = self();
  const KIRQL maximum = wait ? APC_LEVEL : DISPATCH_LEVEL;
  if (thread.irql > maximum) {
    if (thread.irql == irql_unattached)
      misuse("%s was called on a host thread that holds no activity", function);
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x80, thread.irql, as_argument(object), 0,
         "%s was called at IRQL %u; it may be called at %u at most.", function, thread.irql, maximum);
  }
}

}  // namespace

extern "C" {

VOID KeInitializeEvent(PRKEVENT Event, EVENT_TYPE Type, BOOLEAN State) {
  initialize_header(Event->Header,
                    Type == NotificationEvent ? dispatcher_type::notification_event
                                              : dispatcher_type::synchronization_event,
                    State ? 1 : 0);
}

LONG KeSetEvent(PRKEVENT Event, KPRIORITY, BOOLEAN Wait) {
  require_signal_irql(Event, Wait, "KeSetEvent");
  return signal_object(Event->Header);
}

LONG KeResetEvent(PRKEVENT Event) {
  require_irql_at_most(DISPATCH_LEVEL, "KeResetEvent");
  internal_lock lock(dispatcher_mutex);
  const LONG previous = Event->Header.SignalState;
  Event->Header.SignalState = 0;
  return previous;
}

VOID KeClearEvent(PRKEVENT Event) {
  require_irql_at_most(DISPATCH_LEVEL, "KeClearEvent");
  internal_lock lock(dispatcher_mutex);
  Event->Header.SignalState = 0;
}

LONG KeReadStateEvent(PRKEVENT Event) {
  require_irql_at_most(DISPATCH_LEVEL, "KeReadStateEvent");
  internal_lock lock(dispatcher_mutex);
  return Event->Header.SignalState;
}

VOID KeInitializeSemaphore(PRKSEMAPHORE Semaphore, LONG Count, LONG Limit) {
  initialize_header(Semaphore->Header, dispatcher_type::semaphore, Count);
  Semaphore->Limit = Limit;
}

LONG KeReleaseSemaphore(PRKSEMAPHORE Semaphore, KPRIORITY, LONG Adjustment, BOOLEAN Wait) {
  require_signal_irql(Semaphore, Wait, "KeReleaseSemaphore");
  the_scheduler.point(point_kind::wake);
  internal_lock lock(dispatcher_mutex);
  const LONG previous = Semaphore->Header.SignalState;
  // Windows raises STATUS_SEMAPHORE_LIMIT_EXCEEDED, which no driver here could catch.
  if (Adjustment <= 0 || previous > Semaphore->Limit - Adjustment) {
    stop(bug::MANUALLY_INITIATED_CRASH, static_cast<uint32_t>(STATUS_SEMAPHORE_LIMIT_EXCEEDED),
         as_argument(Semaphore), 0, 0,
         "KeReleaseSemaphore beyond the limit: on Windows an exception that nobody handles.");
  }
  Semaphore->Header.SignalState = previous + Adjustment;
  satisfy_waiters(Semaphore->Header);
  return previous;
}

LONG KeReadStateSemaphore(PRKSEMAPHORE Semaphore) {
  internal_lock lock(dispatcher_mutex);
  return Semaphore->Header.SignalState;
}

VOID KeInitializeMutex(PRKMUTEX Mutex, ULONG) {
  initialize_header(Mutex->Header, dispatcher_type::mutex, 1);
  Mutex->OwnerThread = nullptr;
  Mutex->Abandoned = FALSE;
  Mutex->ApcDisable = 1;
}

LONG KeReleaseMutex(PRKMUTEX Mutex, BOOLEAN Wait) {
  require_signal_irql(Mutex, Wait, "KeReleaseMutex");
  LONG previous = 0;
  bool free = false;
  {
    internal_lock lock(dispatcher_mutex);
    if (Mutex->OwnerThread != reinterpret_cast<PKTHREAD>(self().host)) {
      stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x1004, as_argument(Mutex),
           as_argument(Mutex->OwnerThread), as_argument(self().host),
           "KeReleaseMutex by a thread that does not own the mutex.");
    }
    previous = Mutex->Header.SignalState;
    free = ++Mutex->Header.SignalState == 1;
    if (free) {
      Mutex->OwnerThread = nullptr;
      satisfy_waiters(Mutex->Header);
    }
  }
  // The owner of a kernel mutex runs in a critical region.
  if (free) KeLeaveCriticalRegion();
  return previous;
}

LONG KeReadStateMutex(PRKMUTEX Mutex) {
  internal_lock lock(dispatcher_mutex);
  return Mutex->Header.SignalState;
}
}
