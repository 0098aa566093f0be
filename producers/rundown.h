// Rundown protection: who may still be inside, and waiting until nobody is. The driver's own, because the kernel's is not there on every
// kernel that it runs on.
//
//   rundown       one word and one event. The word: two for each reference, plus one once it has ended
//   start         the owner, PASSIVE_LEVEL: references are given from now on. It has ended before, or was never started
//   end           the owner, <= APC_LEVEL: no new reference; returns when the last one is gone. Any number of times, from any number of
//                 threads
//   rundown_reference
//                 up to DISPATCH_LEVEL, from any number of threads: a reference, or none
//
// start excludes start and end, and references that were taken before the end that came before it; nothing else excludes anything.
//
// Invariants
// U1 The count of references grows only while the rundown has not ended: acquire adds to a word without the low bit, or not at all.
// U2 After each start, the word goes from "references and the end" to "the end alone" once. Whoever takes it there sets the event: the
//    last reference, or the end if there was none. So end() returns after the last reference, and after every end.
// U3 What sets the event touches nothing of the rundown afterwards: the owner may free it when end() has returned.
// U4 What was done under a reference happens before end() returns; what was done before start() happens before any reference that it gave.
//    Interlocked operations on one word, and the event: no order of our own is needed.
#pragma once

#include "kernel_port/nt/nt.h"

namespace sluice {

class rundown {
 public:
  rundown() { KeInitializeEvent(&nobody_inside_, NotificationEvent, TRUE); }  // any IRQL
  rundown(const rundown&) = delete;
  rundown& operator=(const rundown&) = delete;

  void start() {
    KeClearEvent(&nobody_inside_);
    InterlockedExchange(&word_, 0);  // U4: pairs with acquire
  }

  void end() {
    if (InterlockedOr(&word_, ended) == 0) KeSetEvent(&nobody_inside_, IO_NO_INCREMENT, FALSE);  // U2: there was no reference
    KeWaitForSingleObject(&nobody_inside_, Executive, KernelMode, FALSE, nullptr);
  }

 private:
  friend class rundown_reference;

  bool acquire() {
    for (LONG seen = 0; (seen & ended) == 0;) {  // a guess, mostly right: nobody else is inside
      const LONG was = InterlockedCompareExchange(&word_, seen + reference, seen);  // U1
      if (was == seen) return true;
      seen = was;
    }
    return false;
  }

  void release() {
    const LONG left = InterlockedExchangeAdd(&word_, -reference) - reference;
    if (left == ended) KeSetEvent(&nobody_inside_, IO_NO_INCREMENT, FALSE);  // U2, U3
  }

  static constexpr LONG ended = 1;
  static constexpr LONG reference = 2;

  LONG word_ = ended;
  KEVENT nobody_inside_;
};

// One reference on a rundown; false once it has ended. Up to DISPATCH_LEVEL.
class rundown_reference {
 public:
  explicit rundown_reference(rundown& of) : of_(of.acquire() ? &of : nullptr) {}
  ~rundown_reference() {
    if (of_ != nullptr) of_->release();
  }
  rundown_reference(const rundown_reference&) = delete;
  rundown_reference& operator=(const rundown_reference&) = delete;
  explicit operator bool() const { return of_ != nullptr; }

 private:
  rundown* of_;
};

}  // namespace sluice
