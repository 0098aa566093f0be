#include "kernel_port/sim/timer.h"

#include "kernel_port/sim/implementation.h"

namespace sluice::sim {
namespace {

uint64_t in_nanoseconds(deadline when) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()).count());
}

deadline from_nanoseconds(uint64_t nanoseconds) {
  return deadline(std::chrono::nanoseconds(nanoseconds));
}

}  // namespace

timer_queue::~timer_queue() {
  stop();
}

void timer_queue::stop() {
  {
    internal_lock lock(dispatcher_mutex);
    if (!started_) return;
    stops_ = true;
  }
  the_scheduler.wake(park_);
  thread_.join();
  started_ = false;
}

void timer_queue::insert(KTIMER& timer) {
  PLIST_ENTRY after = timers_.Blink;
  while (after != &timers_ &&
         CONTAINING_RECORD(after, KTIMER, TimerListEntry)->DueTime.QuadPart > timer.DueTime.QuadPart) {
    after = after->Blink;
  }
  InsertHeadList(after, &timer.TimerListEntry);
  timer.Header.Inserted = 1;
  count_.fetch_add(1, std::memory_order_relaxed);
}

bool timer_queue::set(KTIMER& timer, LARGE_INTEGER due, LONG period, KDPC* dpc) {
  const deadline when = deadline_of(due);
  thread_state& thread = self();
  bool was_set = false;
  bool first = false;
  {
    internal_lock lock(dispatcher_mutex);
    was_set = timer.Header.Inserted;
    if (was_set) {
      RemoveEntryList(&timer.TimerListEntry);
      count_.fetch_sub(1, std::memory_order_relaxed);
    }
    timer.Header.SignalState = 0;
    timer.DueTime.QuadPart = in_nanoseconds(when);
    timer.Period = static_cast<ULONG>(period);
    timer.Dpc = dpc;
    timer.Processor = thread.cpu_index;
    timer.SimulatedOwner = thread.driver;
    insert(timer);
    first = timers_.Flink == &timer.TimerListEntry;
    if (!started_) {
      started_ = true;
      stops_ = false;
      thread_ = scheduled_thread([this] { run(); });
    }
  }
  if (first) the_scheduler.wake(park_);
  return was_set;
}

bool timer_queue::cancel(KTIMER& timer) {
  internal_lock lock(dispatcher_mutex);
  if (!timer.Header.Inserted) return false;
  RemoveEntryList(&timer.TimerListEntry);
  timer.Header.Inserted = 0;
  count_.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

// With the lock held.
void timer_queue::expire(KTIMER& timer) {
  RemoveEntryList(&timer.TimerListEntry);
  timer.Header.Inserted = 0;
  count_.fetch_sub(1, std::memory_order_relaxed);
  if (timer.Period != 0) {
    // Never two expirations at once for time that has gone: the next one is in the future.
    const uint64_t now = in_nanoseconds(the_scheduler.now());
    const uint64_t period = uint64_t{timer.Period} * 1'000'000;
    timer.DueTime.QuadPart += period;
    if (timer.DueTime.QuadPart <= now) timer.DueTime.QuadPart = now + period;
    insert(timer);
  }
  timer.Header.SignalState = 1;
  satisfy_waiters(timer.Header);
  // Under the lock: whoever cancels the timer after this finds the DPC queued, and removes or flushes it.
  if (KDPC* dpc = timer.Dpc) insert_dpc(*dpc, nullptr, nullptr, the_machine().processor_at(timer.Processor));
}

void timer_queue::run() {
  for (;;) {
    std::optional<deadline> next;
    {
      internal_lock lock(dispatcher_mutex);
      if (stops_) return;
      if (!IsListEmpty(&timers_)) {
        KTIMER& timer = *CONTAINING_RECORD(timers_.Flink, KTIMER, TimerListEntry);
        const deadline due = from_nanoseconds(timer.DueTime.QuadPart);
        if (due <= the_scheduler.now()) {
          expire(timer);
          continue;
        }
        next = due;
      }
    }
    the_scheduler.wait(park_, next);
  }
}

uint64_t timer_queue::count() {
  return count_.load(std::memory_order_relaxed);
}

KTIMER* timer_queue::find_of(const driver_record* driver, bool any) {
  internal_lock lock(dispatcher_mutex);
  for (PLIST_ENTRY entry = timers_.Flink; entry != &timers_; entry = entry->Flink) {
    KTIMER* timer = CONTAINING_RECORD(entry, KTIMER, TimerListEntry);
    if (any || timer->SimulatedOwner == driver) return timer;
  }
  return nullptr;
}

KTIMER* timer_queue::find_in(const void* start, size_t length) {
  if (count() == 0) return nullptr;
  internal_lock lock(dispatcher_mutex);
  const auto* first = static_cast<const char*>(start);
  for (PLIST_ENTRY entry = timers_.Flink; entry != &timers_; entry = entry->Flink) {
    KTIMER* timer = CONTAINING_RECORD(entry, KTIMER, TimerListEntry);
    const auto* address = reinterpret_cast<const char*>(timer);
    if (address >= first && address < first + length) return timer;
  }
  return nullptr;
}

}  // namespace sluice::sim

using namespace sluice::sim;

namespace {

void require_timer(const KTIMER* timer, const char* function) {
  require_irql_at_most(DISPATCH_LEVEL, function);
  const auto type = static_cast<dispatcher_type>(timer->Header.Type);
  if (type != dispatcher_type::notification_timer && type != dispatcher_type::synchronization_timer) {
    stop(bug::TIMER_OR_DPC_INVALID, 0, as_argument(timer), 0, 0, "%s for a timer that was never initialized.",
         function);
  }
}

}  // namespace

extern "C" {

VOID KeInitializeTimerEx(PKTIMER Timer, TIMER_TYPE Type) {
  initialize_header(Timer->Header,
                    Type == NotificationTimer ? dispatcher_type::notification_timer
                                              : dispatcher_type::synchronization_timer,
                    0);
  Timer->Header.Inserted = 0;
  Timer->DueTime.QuadPart = 0;
  Timer->Dpc = nullptr;
  Timer->Period = 0;
  Timer->Processor = 0;
  Timer->SimulatedOwner = self().driver;
}

VOID KeInitializeTimer(PKTIMER Timer) {
  KeInitializeTimerEx(Timer, NotificationTimer);
}

BOOLEAN KeSetTimerEx(PKTIMER Timer, LARGE_INTEGER DueTime, LONG Period, PKDPC Dpc) {
  require_timer(Timer, "KeSetTimerEx");
  return the_machine().timers.set(*Timer, DueTime, Period, Dpc);
}

BOOLEAN KeSetTimer(PKTIMER Timer, LARGE_INTEGER DueTime, PKDPC Dpc) {
  require_timer(Timer, "KeSetTimer");
  return the_machine().timers.set(*Timer, DueTime, 0, Dpc);
}

BOOLEAN KeSetCoalescableTimer(PKTIMER Timer, LARGE_INTEGER DueTime, ULONG Period, ULONG, PKDPC Dpc) {
  require_timer(Timer, "KeSetCoalescableTimer");
  return the_machine().timers.set(*Timer, DueTime, static_cast<LONG>(Period), Dpc);
}

BOOLEAN KeCancelTimer(PKTIMER Timer) {
  require_timer(Timer, "KeCancelTimer");
  return the_machine().timers.cancel(*Timer);
}

BOOLEAN KeReadStateTimer(PKTIMER Timer) {
  internal_lock lock(dispatcher_mutex);
  return Timer->Header.SignalState != 0;
}
}
