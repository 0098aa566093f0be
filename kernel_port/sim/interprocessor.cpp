// KeIpiGenericCall: stops every thread of the machine wherever it is (inside sections at DISPATCH_LEVEL too),
// calls the routine once for each virtual CPU at IPI_LEVEL, and lets them go on. The routine of a CPU runs in
// the thread that owns it, else in any thread that is on it, else in the caller.
#include <sched.h>

#include <utility>

#include "kernel_port/sim/implementation.h"
#include "kernel_port/sim/irql.h"
#include "kernel_port/sim/suspension.h"

namespace sluice::sim {
namespace {

struct interprocessor_call {
  std::mutex mutex;  // one call at a time
  std::atomic<uint64_t> generation{0};
  std::atomic<uint64_t> go{0};        // generation whose routines may run
  std::atomic<uint64_t> finished{0};  // generation whose threads may go on
  std::atomic<uint32_t> left{0};
  PKIPI_BROADCAST_WORKER routine = nullptr;
  ULONG_PTR context = 0;
};
interprocessor_call the_call;

void run_routine(thread_state& thread, processor& cpu) {
  processor* const own_cpu = std::exchange(thread.cpu, &cpu);
  const uint32_t own_index = std::exchange(thread.cpu_index, cpu.index);
  the_call.routine(the_call.context);
  thread.cpu = own_cpu;
  thread.cpu_index = own_index;
}

}  // namespace

// In the signal handler, or at a point where the thread looks for requests.
void answer_interprocessor(thread_state& thread) {
  if (thread.in_interprocessor) return;
  const uint64_t generation = the_call.generation.load();
  thread.requests.fetch_and(static_cast<uint8_t>(~request_interprocessor));
  if (the_call.finished.load() >= generation) return;
  host_thread& host = *thread.host;
  thread.in_interprocessor = true;
  const KIRQL irql = std::exchange(thread.irql, IPI_LEVEL);
  host.retry.store(0);
  host.interprocessor_arrived.store(generation);
  while (the_call.go.load() < generation) sched_yield();
  if (host.interprocessor_arrived.load() == generation + 1) {  // chosen to run the routine; see below
    run_routine(thread, *thread.cpu);
    the_call.left.fetch_sub(1);
  }
  while (the_call.finished.load() < generation) sched_yield();
  thread.irql = irql;
  thread.in_interprocessor = false;
}

}  // namespace sluice::sim

using namespace sluice::sim;

extern "C" ULONG_PTR KeIpiGenericCall(PKIPI_BROADCAST_WORKER BroadcastFunction, ULONG_PTR Context) {
  thread_state& thread = require_irql_at_most(IPI_LEVEL - 1, "KeIpiGenericCall");
  machine::implementation& machine = the_machine();
  const KIRQL old = thread.irql;
  raise_to(thread, IPI_LEVEL);
  const internal_section section;
  while (!the_call.mutex.try_lock()) {
    deliver_requests(thread);  // another call wants this CPU
    sched_yield();
  }
  ULONG_PTR result = 0;
  {
    std::lock_guard hosts_lock(machine.hosts_mutex);  // nobody comes or goes
    const uint64_t generation = the_call.generation.load() + 2;
    the_call.routine = BroadcastFunction;
    the_call.context = Context;
    the_call.generation.store(generation);
    for (host_thread* host : machine.hosts) {
      if (host == thread.host || the_scheduler.takes_turns()) continue;  // then everybody else stands
      host->state->requests.fetch_or(request_interprocessor);
      send_request(*host);
    }
    // A suspended thread stands still already.
    const auto stands = [&](const host_thread* host) {
      return host == thread.host || the_scheduler.takes_turns() || host->parked.load() || host->interprocessor_arrived.load() >= generation;
    };
    for (const host_thread* host : machine.hosts) {
      while (!stands(host)) sched_yield();
    }
    // Who runs the routine for which CPU. Everything stands, so owners do not change.
    std::vector<processor*> for_caller;
    for (uint32_t i = 0; i < machine.active_processors(); ++i) {
      processor& cpu = machine.processor_at(i);
      host_thread* runner = cpu.owner.load();
      for (host_thread* host : machine.hosts) {
        if (!runner && host->cpu_index.load() == cpu.index) runner = host;
      }
      if (!runner || runner == thread.host || runner->interprocessor_arrived.load() != generation) {
        for_caller.push_back(&cpu);
      } else {
        the_call.left.fetch_add(1);
        runner->interprocessor_arrived.store(generation + 1);
      }
    }
    the_call.go.store(generation);
    for (processor* cpu : for_caller) {
      processor* const own_cpu = std::exchange(thread.cpu, cpu);
      const uint32_t own_index = std::exchange(thread.cpu_index, cpu->index);
      const ULONG_PTR value = BroadcastFunction(Context);
      thread.cpu = own_cpu;
      thread.cpu_index = own_index;
      if (cpu == own_cpu) result = value;
    }
    while (the_call.left.load() != 0) sched_yield();
    the_call.finished.store(generation);
  }
  the_call.mutex.unlock();
  lower_to(thread, old);
  return result;
}
