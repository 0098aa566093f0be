// IRQL and virtual CPUs, for drivers that Wine runs as threads of a process. Any thread.
//
// Each thread has an IRQL of its own; the driver's reads and writes of cr8 trap in user mode and are emulated here. Raising to
// DISPATCH_LEVEL takes a virtual CPU and holds it until the thread is below again:
//   V1  one thread at a time is at DISPATCH_LEVEL on a virtual CPU
//   V2  the number of the CPU that a thread holds is what KeGetCurrentProcessorNumberEx gives it
// so what a driver guards by IRQL alone is guarded. There is no preemption of a thread below DISPATCH_LEVEL by a DPC: the DPC runs
// on a thread of its own once the CPU is free.
#pragma once

#include "kernel_port/wine/calls.h"

namespace sluice::wine {

inline constexpr uint32_t cpu_count = 4;
inline constexpr uint32_t no_cpu = 0xffffffff;

struct process_object;

struct thread_state {
  uint32_t irql = PASSIVE_LEVEL;
  uint32_t cpu = no_cpu;       // held while at DISPATCH_LEVEL or above
  uint32_t bound_to = no_cpu;  // the only one that it may take
  uint32_t last_cpu = 0;
  uint32_t critical_regions = 0;
  process_object* attached = nullptr;  // KeStackAttachProcess
  // While a callback is raised: in whose process and thread it appears to run.
  bool stands_in = false;
  uint32_t pid = 0;
  uint32_t tid = 0;
};

void start_threads();  // once, before everything else
thread_state& this_thread();
void end_thread();     // DLL_THREAD_DETACH

// Takes or gives back a virtual CPU where DISPATCH_LEVEL is crossed.
void set_irql(uint32_t irql);
uint32_t current_cpu();

// The calling thread on one virtual CPU at an IRQL, as an interrupt's service would be.
class irql_scope {
 public:
  irql_scope(uint32_t irql, uint32_t cpu);
  ~irql_scope();
  irql_scope(const irql_scope&) = delete;
  irql_scope& operator=(const irql_scope&) = delete;

 private:
  uint32_t irql_before_;
  uint32_t bound_before_;
};

// Emulates an access to cr8, and notes faults in drivers. Handles what it can, passes on the rest.
struct exception_pointers {
  EXCEPTION_RECORD* record;
  CONTEXT* context;
};
LONG NTAPI on_exception(exception_pointers* what);

}  // namespace sluice::wine
