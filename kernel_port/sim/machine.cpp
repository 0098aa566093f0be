#include "kernel_port/sim/machine.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "kernel_port/sim/attachment.h"
#include "kernel_port/sim/implementation.h"
#include "kernel_port/sim/irp.h"
#include "kernel_port/sim/irql.h"
#include "kernel_port/sim/pageable_code.h"
#include "kernel_port/sim/paged_memory.h"
#include "kernel_port/sim/suspension.h"
#include "kernel_port/sim/time.h"
#include "kernel_port/sim/user_memory.h"

namespace sluice::sim {
namespace {

std::atomic<machine*> the_current{nullptr};
std::atomic<machine::implementation*> the_current_implementation{nullptr};

}  // namespace

machine::implementation* the_machine_if_any() {
  return the_current_implementation.load(std::memory_order_acquire);
}

machine::implementation& the_machine() {
  machine::implementation* found = the_machine_if_any();
  if (!found) [[unlikely]]
    misuse("there is no machine");
  return *found;
}

machine::implementation::implementation(const machine_options& given)
    : options(given),
      shared(given.shared_memory && given.memory == nullptr ? std::make_unique<shared_memory>() : nullptr),
      pool(given.memory, shared.get()), 
      filters(given.filter_manager_started),
      active_(given.processors) {
  if (options.processors < 1 || options.processors > 256 || options.maximum_processors > 256) {
    misuse("a machine has 1 to 256 processors");
  }
  if (options.processors_per_group < 1 || options.processors_per_group > 64) {
    misuse("a processor group has 1 to 64 processors");
  }
  for (uint32_t i = 0; i < std::max(options.processors, options.maximum_processors); ++i) {
    processor& cpu = processors.emplace_back();
    cpu.index = i;
    cpu.number.Group = static_cast<USHORT>(i / options.processors_per_group);
    cpu.number.Number = static_cast<UCHAR>(i % options.processors_per_group);
    InitializeListHead(&cpu.dpcs);
  }
  processes.add_process(0, 0, false, false);           // the idle process
  processes.add_process(system_pid, 0, false, false);  // System
  PsInitialSystemProcess = processes.reference_process(system_pid);
  for (const service_parameter& parameter : options.service_parameters) {
    const auto* const bytes = reinterpret_cast<const uint8_t*>(&parameter.value);
    tree.set(std::u16string(services_key) + parameter.driver + u"\\Parameters", parameter.name, REG_DWORD,
             {bytes, sizeof parameter.value});
  }
}

machine::implementation::~implementation() {
  dereference_object(PsInitialSystemProcess);
  PsInitialSystemProcess = nullptr;
}

NTSTATUS machine::implementation::injected_failure(machine::failure kind) {
  auto& [calls, left, status] = failures_[static_cast<size_t>(kind)];
  calls.fetch_add(1, std::memory_order_relaxed);
  uint64_t value = left.load(std::memory_order_acquire);
  while (value != 0 && !left.compare_exchange_weak(value, value - 1, std::memory_order_acquire)) {
  }
  return value == 1 ? status.load(std::memory_order_relaxed) : STATUS_SUCCESS;
}

host_thread* machine::implementation::attach_host() {
  internal_lock lock(hosts_mutex);
  hosts.reserve(hosts.size() + 1);  // before anything else: without memory nothing has happened
  host_thread* host = nullptr;
  if (free_hosts_.empty()) {
    all_hosts_.push_back(std::make_unique<host_thread>());
    host = all_hosts_.back().get();
  } else {
    host = free_hosts_.back();
    free_hosts_.pop_back();
  }
  thread_state& thread = self();
  host->state = &thread;
  host->linux_tid = static_cast<int>(syscall(SYS_gettid));
  host->suspend_count = 0;
  host->parked = 0;
  host->retry = 0;
  host->interprocessor_arrived = 0;
  host->pinned = false;
  thread.requests = 0;
  thread.host = host;
  hosts.push_back(host);
  return host;
}

void machine::implementation::detach_host(host_thread* host) {
  internal_lock lock(hosts_mutex);
  std::erase(hosts, host);
  free_hosts_.push_back(host);
  self().host = nullptr;
  self().requests = 0;
}

machine::machine(const machine_options& options) {
  if (the_current.load()) misuse("there is a machine already; a process has one at a time");
  the_scheduler.start(options.seed);
  reset_clocks(options.counter_ahead);
  install_request_signal();
  start_pageable_code(options.check_code_sections);
  start_paged_memory(options.check_paged_access, options.shared_memory || options.check_code_sections);
  start_user_memory();
  implementation_ = std::make_unique<implementation>(options);
  the_current_implementation.store(implementation_.get(), std::memory_order_release);
  the_current.store(this, std::memory_order_release);
}

machine::~machine() {
  implementation& state = *implementation_;
  for (const std::string& name : state.devices.driver_names()) {
    stop(bug::DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS, 0, 0, 0, 0,
         "The machine was switched off with driver %s loaded.", name.c_str());
  }
  for (notify_registry* registry : {&state.notify.process, &state.notify.thread, &state.notify.image}) {
    if (const void* routine = registry->find_of(nullptr, true)) {
      stop(bug::DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS, as_argument(routine), 0,
           as_argument(routine), 0, "The machine was switched off with a notify routine registered.");
    }
  }
  if (const void* routine = state.registry.find_of(nullptr, true)) {
    stop(bug::DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS, as_argument(routine), 0,
         as_argument(routine), 0, "The machine was switched off with a registry callback registered.");
  }
  if (const auto left = state.filters.find_of(nullptr, true); left.what != nullptr) {
    stop(bug::DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS, as_argument(left.what), 0, as_argument(left.what), 0,
         "The machine was switched off with %s.", left.kind);
  }
  if (const void* routine = state.callbacks.find_of(nullptr, true)) {
    stop(bug::DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS, as_argument(routine), 0,
         as_argument(routine), 0, "The machine was switched off with a routine registered in a callback object.");
  }
  if (const void* routine = state.changes.find_of(nullptr, true)) {
    stop(bug::DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS, as_argument(routine), 0,
         as_argument(routine), 0, "The machine was switched off with a processor change callback registered.");
  }
  if (const KTIMER* timer = state.timers.find_of(nullptr, true)) {
    stop(bug::TIMER_OR_DPC_INVALID, 0, as_argument(timer), 0, 0,
         "The machine was switched off with a timer set.");
  }
  if (const void* routine = find_thread_of(nullptr, true)) {
    stop(bug::DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS, as_argument(routine), 0,
         as_argument(routine), 0, "The machine was switched off with a system thread running.");
  }
  if (state.mappings.count() != 0) {
    stop(bug::PROCESS_HAS_LOCKED_PAGES, 0, 0, 0, 0, "The machine was switched off with memory mapped into a process.");
  }
  if (const auto pool = state.pool.in_use(nullptr, true); pool.blocks != 0) {
    state.pool.print(nullptr, true);
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x62, 0, 0, pool.blocks,
         "The machine was switched off with %lu pool blocks (%lu bytes) not freed.", pool.blocks, pool.bytes);
  }
  if (const uint64_t names = state.key_names.count_of(nullptr, true); names != 0) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x62, 0, 0, names,
         "The machine was switched off with %lu key names not released.", names);
  }
  state.work.stop();
  state.timers.stop();
  stop_dpc_workers();
  reap_system_threads();
  {
    internal_lock lock(state.hosts_mutex);
    if (!state.hosts.empty())
      misuse("the machine was switched off while %zu threads hold activities", state.hosts.size());
  }
  the_scheduler.stop();
  the_current.store(nullptr);
  forget_requests();
  implementation_->pool.drain();
  the_current_implementation.store(nullptr);
  implementation_.reset();
  stop_user_memory();
  stop_paged_memory();
  stop_pageable_code();
}

machine& machine::current() {
  machine* found = the_current.load(std::memory_order_acquire);
  if (!found) misuse("there is no machine");
  return *found;
}

const machine_options& machine::options() const {
  return implementation_->options;
}
machine::implementation& machine::detail() {
  return *implementation_;
}
machine::paged_check machine::paged_check_in_use() const {
  return sim::paged_check_in_use();
}

void machine::start_filter_manager() { implementation_->filters.start(); }

void machine::fail_call(failure kind, uint64_t nth, NTSTATUS status) {
  auto& counter = implementation_->failures_[static_cast<size_t>(kind)];
  counter.status.store(status, std::memory_order_relaxed);
  counter.left.store(nth, std::memory_order_release);
}

uint64_t machine::calls(failure kind) const {
  return implementation_->failures_[static_cast<size_t>(kind)].calls.load(std::memory_order_relaxed);
}

machine::usage machine::in_use() const {
  implementation& state = *implementation_;
  const auto pool = state.pool.in_use(nullptr, true);
  uint64_t threads = 0;
  {
    internal_lock lock(state.threads.mutex);
    for (const auto& entry : state.threads.entries) threads += !entry->ended.load(std::memory_order_acquire);
  }
  return {pool.blocks,
          pool.bytes,
          threads,
          state.timers.count(),
          state.notify.process.count() + state.notify.thread.count() + state.notify.image.count() +
              state.registry.count(),
          state.devices.device_count(),
          state.devices.link_count(),
          state.filters.filter_count(),
          state.filters.connection_count(),
          state.filters.instance_count(),
          state.changes.count() + state.callbacks.count(),
          state.mappings.count(),
          state.handles.count()};
}

NTSTATUS machine::add_processor() {
  return implementation_->changes.add_processor(*implementation_);
}
uint32_t machine::processors() const {
  return implementation_->active_processors();
}

void machine::move_counter(int64_t ticks) {
  sim::move_counter(ticks);
}
void machine::set_system_time(uint64_t utc) {
  const borrowed_thread system(*implementation_, system_pid);
  sim::set_system_time(utc);
  PCALLBACK_OBJECT object = nullptr;
  if (!NT_SUCCESS(implementation_->callbacks.open(object, set_system_time_callback, false, true))) return;
  if (the_scheduler.chance(4)) {
    const raised_irql raised(DISPATCH_LEVEL);
    ExNotifyCallback(object, nullptr, nullptr);
  } else {
    ExNotifyCallback(object, nullptr, nullptr);
  }
  dereference_object(object);
}
uint64_t machine::system_time() const {
  return system_time_precise();
}
void machine::stop_counter() {
  sim::let_counter_run(false);
}
void machine::run_counter() {
  sim::let_counter_run(true);
}

uint64_t machine::pool_allocations() const {
  return implementation_->pool.allocations();
}

}  // namespace sluice::sim
