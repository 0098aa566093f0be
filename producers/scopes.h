// Scopes: whatever pairs in the kernel is a type whose destructor gives it back.
#pragma once

#include "producers/processors.h"

namespace sluice {

// The section: DISPATCH_LEVEL on the current processor. Nothing else runs on it until the end but interrupts.
// From any IRQL up to DISPATCH_LEVEL.
class dispatch_section {
 public:
  _IRQL_raises_(DISPATCH_LEVEL) dispatch_section() { KeRaiseIrql(DISPATCH_LEVEL, &previous_); }
  ~dispatch_section() { KeLowerIrql(previous_); }
  dispatch_section(const dispatch_section&) = delete;
  dispatch_section& operator=(const dispatch_section&) = delete;

  // The processor's number across groups; constant inside the section.
  uint32_t cpu() const { return current_processor(); }

 private:
  KIRQL previous_;
};

// Holds off suspension and normal kernel APCs of the current thread. Up to APC_LEVEL.
class critical_region {
 public:
  critical_region() { KeEnterCriticalRegion(); }
  ~critical_region() { KeLeaveCriticalRegion(); }
  critical_region(const critical_region&) = delete;
  critical_region& operator=(const critical_region&) = delete;
};

// A spin lock held at DISPATCH_LEVEL. From any IRQL up to DISPATCH_LEVEL.
class spin_lock_scope {
 public:
  explicit spin_lock_scope(KSPIN_LOCK& lock) : lock_(lock) { KeAcquireSpinLock(&lock_, &previous_); }
  ~spin_lock_scope() { KeReleaseSpinLock(&lock_, previous_); }
  spin_lock_scope(const spin_lock_scope&) = delete;
  spin_lock_scope& operator=(const spin_lock_scope&) = delete;

 private:
  KSPIN_LOCK& lock_;
  KIRQL previous_;
};

}  // namespace sluice
