// The state of the one machine.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <vector>

#include "kernel_port/sim/callback_object.h"
#include "kernel_port/sim/check.h"
#include "kernel_port/sim/device.h"
#include "kernel_port/sim/dpc.h"
#include "kernel_port/sim/filter_manager.h"
#include "kernel_port/sim/machine.h"
#include "kernel_port/sim/mdl.h"
#include "kernel_port/sim/notify.h"
#include "kernel_port/sim/object.h"
#include "kernel_port/sim/pool.h"
#include "kernel_port/sim/process.h"
#include "kernel_port/sim/processor_change.h"
#include "kernel_port/sim/registry_callbacks.h"
#include "kernel_port/sim/registry_tree.h"
#include "kernel_port/sim/shared_memory.h"
#include "kernel_port/sim/timer.h"
#include "kernel_port/sim/work_item.h"

namespace sluice::sim {

class machine::implementation {
 public:
  explicit implementation(const machine_options& options);
  ~implementation();
  implementation(const implementation&) = delete;
  implementation& operator=(const implementation&) = delete;

  processor& processor_at(uint32_t index) { return processors[index]; }

  // Those that run; `processors` holds all that the machine can have. They are added one after another, and never removed.
  uint32_t active_processors() const { return active_.load(std::memory_order_acquire); }
  void start_processor() { active_.fetch_add(1, std::memory_order_release); }

  // Counts one call of that kind: the status it is to fail with, or STATUS_SUCCESS.
  NTSTATUS injected_failure(machine::failure kind);

  // Host threads that are threads of the machine now. An entry is reused, never freed: a late wake finds it
  // alive.
  host_thread* attach_host();
  void detach_host(host_thread* host);

  const machine_options options;
  std::deque<processor> processors;
  process_table processes;
  handle_table handles;
  notify_registries notify;
  registry_tree tree;
  registry_callbacks registry;
  given_key_names key_names;
  const std::unique_ptr<shared_memory> shared;  // null: nothing can be mapped into processes
  pool_table pool;
  address_spaces spaces;
  process_mappings mappings;
  timer_queue timers;
  system_threads threads;
  work_queue work;
  processor_changes changes;
  callback_objects callbacks;
  device_table devices;
  filter_manager filters;

  internal_mutex hosts_mutex;
  std::vector<host_thread*> hosts;

 private:
  std::atomic<uint32_t> active_;
  std::vector<std::unique_ptr<host_thread>> all_hosts_;
  std::vector<host_thread*> free_hosts_;

  struct failure_counter {
    std::atomic<uint64_t> calls{0};
    std::atomic<uint64_t> left{0};  // 0: off. Set by fail_call (release) after the status, counted down by who fails (acquire)
    std::atomic<NTSTATUS> status{STATUS_INSUFFICIENT_RESOURCES};
  };
  friend class machine;
  std::array<failure_counter, machine::failure_kinds> failures_;
};

machine::implementation* the_machine_if_any();
machine::implementation& the_machine();

}  // namespace sluice::sim
