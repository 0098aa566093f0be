// Timers with DPCs: one thread that queues what is due. Wine's own would run such a DPC in a thread of theirs at IRQL 0.
#include <cstring>
#include <map>

#include "kernel_port/wine/dpc.h"
#include "kernel_port/wine/imports.h"
#include "kernel_port/wine/rules.h"

namespace sluice::wine {
namespace {

constexpr LONGLONG ticks_per_millisecond = 10000;  // of NT times

struct armed_timer {
  LONGLONG due;  // of now()
  LONG period_milliseconds;
  PKDPC dpc;
};

lock timers_lock;
HANDLE earlier = nullptr;  // set: something is due before what the thread sleeps for
std::map<PKTIMER, armed_timer>& timers() {
  static auto* const made = new std::map<PKTIMER, armed_timer>;
  return *made;
}

LONGLONG now() {
  LARGE_INTEGER frequency;
  const LONGLONG counter = KeQueryPerformanceCounter(&frequency).QuadPart;
  return counter / frequency.QuadPart * 10000000 + counter % frequency.QuadPart * 10000000 / frequency.QuadPart;
}

// With the lock held: what a cancel finds no more is queued, so the flush behind the cancel finds it. Milliseconds to the next one.
ULONG queue_what_is_due() {
  ULONG next = for_ever;
  const LONGLONG at = now();
  for (auto each = timers().begin(); each != timers().end();) {
    armed_timer& timer = each->second;
    if (timer.due <= at) {
      queue_dpc(timer.dpc, nullptr, nullptr);
      if (timer.period_milliseconds == 0) {
        each = timers().erase(each);
        continue;
      }
      timer.due = at + timer.period_milliseconds * ticks_per_millisecond;
    }
    const auto left = static_cast<ULONG>((timer.due - at + ticks_per_millisecond - 1) / ticks_per_millisecond);
    if (left < next) next = left;
    ++each;
  }
  return next;
}

ULONG NTAPI serve(PVOID) {
  for (;;) {
    ULONG next;
    {
      const locked held(timers_lock);
      next = queue_what_is_due();
    }
    WaitForSingleObject(earlier, next);
  }
}

void NTAPI initialize(PKTIMER timer) { std::memset(timer, 0, sizeof *timer); }
void NTAPI initialize_ex(PKTIMER timer, TIMER_TYPE) { initialize(timer); }

BOOLEAN NTAPI set_timer_ex(PKTIMER timer, LARGE_INTEGER due, LONG period, PKDPC dpc) {
  if (dpc == nullptr || due.QuadPart > 0) {
    report_violation("a timer that the substitutes do not have: without a DPC, or at a system time");
    return FALSE;
  }
  const locked held(timers_lock);
  const bool was_armed = timers().erase(timer) != 0;
  if (due.QuadPart == 0 && period == 0) {
    queue_dpc(dpc, nullptr, nullptr);  // then and there
  } else {
    timers()[timer] = {now() - due.QuadPart, period, dpc};
    SetEvent(earlier);
  }
  return was_armed;
}

BOOLEAN NTAPI set_timer(PKTIMER timer, LARGE_INTEGER due, PKDPC dpc) { return set_timer_ex(timer, due, 0, dpc); }

BOOLEAN NTAPI cancel_timer(PKTIMER timer) {
  const locked held(timers_lock);
  return timers().erase(timer) != 0;
}

const kernel_function table[] = {
    {"KeInitializeTimer", address_of(&initialize), any_irql},
    {"KeInitializeTimerEx", address_of(&initialize_ex), any_irql},
    {"KeSetTimer", address_of(&set_timer), DISPATCH_LEVEL},
    {"KeSetTimerEx", address_of(&set_timer_ex), DISPATCH_LEVEL},
    {"KeCancelTimer", address_of(&cancel_timer), DISPATCH_LEVEL},
};

}  // namespace

void start_timers() {
  earlier = CreateEventW(nullptr, FALSE, FALSE, nullptr);
  CreateThread(nullptr, 0, &serve, nullptr, 0, nullptr);
}

std::span<const kernel_function> timer_functions() { return table; }

}  // namespace sluice::wine
