#include "kernel_port/wine/irql.h"

#include <atomic>

#include "kernel_port/wine/imports.h"
#include "kernel_port/wine/rules.h"

namespace sluice::wine {
namespace {

constexpr ULONG privileged_instruction = 0xc0000096;
constexpr ULONG access_violation = 0xc0000005;
constexpr LONG continue_execution = -1;
constexpr LONG continue_search = 0;

ULONG slot = 0;
std::atomic<bool> taken[cpu_count];
std::atomic<uint32_t> threads_seen{0};

bool try_to_take(uint32_t cpu) {
  return !taken[cpu].load(std::memory_order_relaxed) && !taken[cpu].exchange(true, std::memory_order_acquire);
}

// The thread's last one if that is free, as a scheduler would; else any; a bound thread waits for its own.
void take_cpu(thread_state& self) {
  for (uint32_t round = 0;; ++round) {
    if (self.bound_to != no_cpu) {
      if (try_to_take(self.bound_to)) {
        self.cpu = self.bound_to;
        return;
      }
    } else {
      for (uint32_t i = 0; i < cpu_count; ++i) {
        const uint32_t cpu = (self.last_cpu + i) % cpu_count;
        if (!try_to_take(cpu)) continue;
        self.cpu = self.last_cpu = cpu;
        return;
      }
    }
    if (round < 64) {
      YieldProcessor();
    } else {
      SwitchToThread();
    }
  }
}

// mov reg, cr8 and mov cr8, reg: [prefixes] 0f 20|22 modrm.
bool emulate_cr8(CONTEXT& context) {
  const auto* const code = reinterpret_cast<const uint8_t*>(context.Rip);
  uint32_t at = 0;
  uint8_t rex = 0;
  while ((code[at] & 0xf0) == 0x40 || code[at] == 0x66) {
    if ((code[at] & 0xf0) == 0x40) rex = code[at];
    ++at;
  }
  if (code[at] != 0x0f || (code[at + 1] != 0x20 && code[at + 1] != 0x22)) return false;
  const uint8_t modrm = code[at + 2];
  const uint32_t control = (modrm >> 3 & 7) | (rex & 4) << 1;
  if (control != 8) return false;
  // CONTEXT has the sixteen registers one behind another, in the order of their numbers.
  ULONG64& general = (&context.Rax)[(modrm & 7) | (rex & 1) << 3];
  if (code[at + 1] == 0x20) {
    general = this_thread().irql;
  } else {
    set_irql(static_cast<uint32_t>(general));
  }
  context.Rip += at + 3;
  return true;
}

}  // namespace

void start_threads() { slot = TlsAlloc(); }

thread_state& this_thread() {
  if (PVOID const known = TlsGetValue(slot)) return *static_cast<thread_state*>(known);
  auto* const made = new thread_state;
  made->last_cpu = threads_seen.fetch_add(1, std::memory_order_relaxed) % cpu_count;
  TlsSetValue(slot, made);
  return *made;
}

void end_thread() {
  auto* const known = static_cast<thread_state*>(TlsGetValue(slot));
  if (known == nullptr) return;
  if (known->irql != PASSIVE_LEVEL) {
    report_violation("a thread ended above PASSIVE_LEVEL");
    set_irql(PASSIVE_LEVEL);
  }
  if (known->critical_regions != 0) report_violation("a thread ended inside a critical region");
  TlsSetValue(slot, nullptr);
  delete known;
}

void set_irql(uint32_t irql) {
  thread_state& self = this_thread();
  const uint32_t before = self.irql;
  if (before < DISPATCH_LEVEL && irql >= DISPATCH_LEVEL) take_cpu(self);
  self.irql = irql;
  if (before >= DISPATCH_LEVEL && irql < DISPATCH_LEVEL) {
    const uint32_t cpu = self.cpu;
    self.cpu = no_cpu;
    taken[cpu].store(false, std::memory_order_release);
  }
}

uint32_t current_cpu() {
  const thread_state& self = this_thread();
  return self.cpu != no_cpu ? self.cpu : self.bound_to != no_cpu ? self.bound_to : self.last_cpu;
}

irql_scope::irql_scope(uint32_t irql, uint32_t cpu)
    : irql_before_(this_thread().irql), bound_before_(this_thread().bound_to) {
  this_thread().bound_to = cpu;
  set_irql(irql);
}

irql_scope::~irql_scope() {
  set_irql(irql_before_);
  this_thread().bound_to = bound_before_;
}

LONG NTAPI on_exception(exception_pointers* what) {
  const ULONG code = static_cast<ULONG>(what->record->ExceptionCode);
  if (code == privileged_instruction && emulate_cr8(*what->context)) return continue_execution;
  if (code == access_violation && is_in_driver(what->record->ExceptionAddress)) {
    // On Windows nothing catches a fault at DISPATCH_LEVEL.
    if (this_thread().irql >= DISPATCH_LEVEL) report_violation("a page fault at DISPATCH_LEVEL");
    count_fault();
  }
  return continue_search;
}

}  // namespace sluice::wine
