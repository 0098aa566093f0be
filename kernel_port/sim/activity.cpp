#include <sys/syscall.h>
#include <unistd.h>

#include "kernel_port/sim/attachment.h"
#include "kernel_port/sim/implementation.h"
#include "kernel_port/sim/irql.h"
#include "kernel_port/sim/paged_memory.h"

namespace sluice::sim {
namespace {

void require_at_rest(const thread_state& thread, const char* what) {
  if (thread.irql != PASSIVE_LEVEL) {
    stop(bug::IRQL_UNEXPECTED_VALUE, static_cast<uint64_t>(thread.irql) << 16, 0, 0, 0, "%s at IRQL %u.",
         what, thread.irql);
  }
  if (thread.attached != nullptr) {
    stop(bug::INVALID_PROCESS_ATTACH_ATTEMPT, as_argument(thread.attached), 0, 0, 0, "%s attached to another process.", what);
  }
  if (thread.critical != 0 || thread.guarded != 0) {
    stop(bug::KERNEL_APC_PENDING_DURING_EXIT, 0, thread.critical + thread.guarded, thread.irql, 0,
         "%s inside a critical or guarded region.", what);
  }
}

void require_processor(const machine::implementation& machine, uint32_t cpu) {
  if (cpu >= machine.active_processors()) misuse("there is no processor %u", cpu);
}

}  // namespace

attachment::attachment(machine::implementation& machine, uint32_t cpu, uint32_t pid, uint32_t tid)
    : machine_(machine) {
  require_processor(machine, cpu);
  thread_state& thread = self();
  if (thread.host) misuse("a host thread holds one activity at a time");
  const internal_section section;
  host_ = machine.attach_host();
  host_->pid.store(pid, std::memory_order_relaxed);
  host_->tid.store(tid, std::memory_order_relaxed);
  thread.critical = thread.guarded = 0;
  thread.in_dpc = 0;
  thread.driver = nullptr;
  thread.random = 0;
  thread.paged_in = false;
  thread.notify_depth = 0;
  thread.registry_active = nullptr;
  move_to_processor(thread, cpu);
  allow_paged_memory();
  thread.irql = PASSIVE_LEVEL;
}

attachment::~attachment() {
  thread_state& thread = self();
  require_at_rest(thread, "A thread left the machine");
  const internal_section section;
  machine_.processes.forget_current(thread);
  machine_.detach_host(host_);
  thread.irql = irql_unattached;
  thread.cpu = nullptr;
}

void become(thread_state& thread, uint32_t pid, uint32_t tid) {
  const internal_section section;
  the_machine().processes.forget_current(thread);
  thread.host->pid.store(pid, std::memory_order_relaxed);
  thread.host->tid.store(tid, std::memory_order_relaxed);
}

identity::identity(uint32_t pid, uint32_t tid)
    : pid_(self().host->pid.load(std::memory_order_relaxed)),
      tid_(self().host->tid.load(std::memory_order_relaxed)) {
  become(self(), pid, tid);
}

identity::~identity() {
  become(self(), pid_, tid_);
}

borrowed_thread::borrowed_thread(machine::implementation& machine, uint32_t pid) {
  const auto linux_tid = the_scheduler.takes_turns() ? the_scheduler.the_turns().own_number() + 900'000
                                                     : static_cast<uint32_t>(syscall(SYS_gettid));
  thread_state& thread = self();
  if (!thread.host) {
    attachment_.emplace(machine, linux_tid % machine.active_processors(), pid,
                        pid == system_pid ? machine.processes.new_system_tid() : linux_tid);
  } else if (thread.host->pid.load(std::memory_order_relaxed) != pid) {
    require_irql_at_most(PASSIVE_LEVEL, "A call on behalf of another process");
    identity_.emplace(pid, thread.host->tid.load(std::memory_order_relaxed));
  }
}

class activity::implementation {
 public:
  implementation(machine& machine, uint32_t cpu, uint32_t pid, uint32_t tid)
      : attachment_(machine.detail(), cpu, pid, tid) {}

 private:
  attachment attachment_;
};

activity::activity(machine& machine, uint32_t cpu, uint32_t pid, uint32_t tid)
    : implementation_(std::make_unique<implementation>(machine, cpu, pid, tid)) {}
activity::~activity() = default;

void activity::become(uint32_t cpu, uint32_t pid, uint32_t tid) {
  thread_state& thread = self();
  require_at_rest(thread, "activity::become");
  require_processor(the_machine(), cpu);
  sim::become(thread, pid, tid);
  move_to_processor(thread, cpu);
}

void activity::migrate(uint32_t cpu) {
  thread_state& thread = self();
  if (thread.irql >= DISPATCH_LEVEL) misuse("a thread does not change its processor at DISPATCH_LEVEL");
  require_processor(the_machine(), cpu);
  move_to_processor(thread, cpu);
}

}  // namespace sluice::sim
