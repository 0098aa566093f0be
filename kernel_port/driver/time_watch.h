// Tells when somebody has set the system time: \Callback\SetSystemTime, on every NT.
#pragma once

#include "kernel_port/nt/nt.h"

namespace sluice {

class time_watch {
 public:
  using routine = void (*)(void* context);  // up to DISPATCH_LEVEL

  time_watch() = default;
  ~time_watch() { stop(); }
  time_watch(const time_watch&) = delete;
  time_watch& operator=(const time_watch&) = delete;

  // PASSIVE_LEVEL. A kernel that has no such object, or no memory for it, is no reason not to load: the anchors that come with time
  // tell of the new time, later.
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  void start(routine when_set, void* context);
  // PASSIVE_LEVEL. Waits until the routine does not run any more.
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  void stop();

 private:
  _IRQL_requires_max_(DISPATCH_LEVEL)
  static VOID NTAPI notified(PVOID context, PVOID, PVOID);

  routine when_set_ = nullptr;
  void* context_ = nullptr;
  PCALLBACK_OBJECT object_ = nullptr;
  PVOID registration_ = nullptr;
};

}  // namespace sluice
