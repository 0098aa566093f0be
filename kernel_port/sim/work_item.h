// Work items: routines that run at PASSIVE_LEVEL in a system worker thread, started when first needed.
#pragma once

#include <deque>
#include <vector>

#include "kernel_port/sim/internal_lock.h"
#include "kernel_port/sim/machine.h"
#include "kernel_port/sim/scheduled_thread.h"

struct _IO_WORKITEM {
  PDEVICE_OBJECT device;  // a reference while queued
  PIO_WORKITEM_ROUTINE routine;
  PVOID context;
  sluice::sim::driver_record* driver;
  bool queued;
};

namespace sluice::sim {

class work_queue {
 public:
  ~work_queue();
  void add(PIO_WORKITEM item);
  void stop();
  // Items of this driver allocated and not freed.
  uint64_t items_of(const driver_record* driver);
  void counted(driver_record* driver, int change);

 private:
  void run(machine::implementation& machine);

  internal_mutex mutex_;
  std::deque<PIO_WORKITEM> queue_;
  std::vector<std::pair<driver_record*, int64_t>> allocated_;
  bool started_ = false;
  bool stops_ = false;
  scheduled_thread worker_;
  parker park_;
};

}  // namespace sluice::sim
