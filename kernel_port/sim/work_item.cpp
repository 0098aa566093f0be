#include "kernel_port/sim/work_item.h"

#include "kernel_port/sim/attachment.h"
#include "kernel_port/sim/implementation.h"
#include "kernel_port/sim/irql.h"

namespace sluice::sim {

work_queue::~work_queue() {
  stop();
}

void work_queue::stop() {
  {
    internal_lock lock(mutex_);
    if (!started_) return;
    stops_ = true;
  }
  the_scheduler.wake(park_);
  worker_.join();
  started_ = false;
}

void work_queue::add(PIO_WORKITEM item) {
  {
    internal_lock lock(mutex_);
    queue_.push_back(item);
    if (!started_) {
      started_ = true;
      worker_ = scheduled_thread([this, &machine = the_machine()] { run(machine); });
    }
  }
  the_scheduler.wake(park_);
}

void work_queue::run(machine::implementation& machine) {
  attachment attached(machine, 0, system_pid, machine.processes.new_system_tid());
  for (;;) {
    PIO_WORKITEM item = nullptr;
    {
      internal_lock lock(mutex_);
      if (!queue_.empty()) {
        item = queue_.front();
        queue_.pop_front();
      } else if (stops_) {
        return;
      }
    }
    if (!item) {
      the_scheduler.wait(park_);
      continue;
    }
    PDEVICE_OBJECT device = item->device;
    const PIO_WORKITEM_ROUTINE routine = item->routine;
    const PVOID context = item->context;
    driver_record* const driver = item->driver;
    __atomic_store_n(&item->queued, false, __ATOMIC_RELEASE);  // the routine may queue or free it
    {
      driver_call checked(driver, reinterpret_cast<const void*>(routine), "A work item");
      into_driver([&] { routine(device, context); });
    }
    dereference_object(device);
  }
}

void work_queue::counted(driver_record* driver, int change) {
  internal_lock lock(mutex_);
  for (auto& [known, count] : allocated_) {
    if (known == driver) {
      count += change;
      return;
    }
  }
  allocated_.emplace_back(driver, change);
}

uint64_t work_queue::items_of(const driver_record* driver) {
  internal_lock lock(mutex_);
  for (const auto& [known, count] : allocated_) {
    if (known == driver) return static_cast<uint64_t>(count);
  }
  return 0;
}

}  // namespace sluice::sim

using namespace sluice::sim;

extern "C" {

PIO_WORKITEM IoAllocateWorkItem(PDEVICE_OBJECT DeviceObject) {
  thread_state& thread = require_irql_at_most(DISPATCH_LEVEL, "IoAllocateWorkItem");
  if (the_machine().injected_failure(machine::failure::pool_allocation) != STATUS_SUCCESS) return nullptr;
  internal_section section;
  the_machine().work.counted(thread.driver, 1);
  return new _IO_WORKITEM{DeviceObject, nullptr, nullptr, thread.driver, false};
}

VOID IoFreeWorkItem(PIO_WORKITEM IoWorkItem) {
  require_irql_at_most(DISPATCH_LEVEL, "IoFreeWorkItem");
  if (__atomic_load_n(&IoWorkItem->queued, __ATOMIC_ACQUIRE)) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE5, as_argument(IoWorkItem), 0, 0,
         "IoFreeWorkItem of a work item that is still queued (Windows: WORKER_INVALID).");
  }
  internal_section section;
  the_machine().work.counted(IoWorkItem->driver, -1);
  delete IoWorkItem;
}

VOID IoQueueWorkItem(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE WorkerRoutine, WORK_QUEUE_TYPE,
                     PVOID Context) {
  require_irql_at_most(DISPATCH_LEVEL, "IoQueueWorkItem");
  if (__atomic_exchange_n(&IoWorkItem->queued, true, __ATOMIC_ACQ_REL)) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE5, as_argument(IoWorkItem), 1, 0,
         "IoQueueWorkItem of a work item that is queued already (Windows: WORKER_INVALID).");
  }
  IoWorkItem->routine = WorkerRoutine;
  IoWorkItem->context = Context;
  reference_object(IoWorkItem->device);
  the_machine().work.add(IoWorkItem);
}
}
