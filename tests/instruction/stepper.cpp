#include "tests/instruction/stepper.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#elif __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__)
#define SLUICE_NOT_STEPPED "AddressSanitizer instruments the code: its instructions are not those that are shipped"
#elif defined(__SANITIZE_THREAD__)
#define SLUICE_NOT_STEPPED "ThreadSanitizer instruments the code: its instructions are not those that are shipped"
#elif !defined(__x86_64__) || !defined(__linux__)
#define SLUICE_NOT_STEPPED "single steps are implemented for x86-64 Linux"
#endif

#if defined(SLUICE_NOT_STEPPED)

#include <cstdlib>

namespace sluice::instruction {
const char* why_not_stepped() { return SLUICE_NOT_STEPPED; }
stepper::stepper() : code_stack_(64), signal_stack_(64) {}
uint64_t stepper::run(code, void*, const std::function<void()>&) { return 0; }
void stepper::run_the_rest() {}
void stepper::abandon() { std::abort(); }
ptrdiff_t stepper::offset() const { return 0; }
void stepper::execute_whole(whole_function) {}
}  // namespace sluice::instruction

#else

#include <signal.h>
#include <sys/ucontext.h>
#include <ucontext.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

// SS_AUTODISARM of <linux/signal.h>, which does not go together with <signal.h>: while a handler runs, its stack is not
// registered, so that a nested run can register its own; returning from the handler registers it again.
#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

extern "C" {
// Puts the caller aside in stepper_resume and goes on with the registers in `gregs` (as in a ucontext_t) and the
// floating-point image `fxsave`. Returns when that code returns to stepper_end, or by stepper_give_up.
void stepper_switch(const long long* gregs, const void* fxsave);
[[noreturn]] void stepper_give_up();
void stepper_begin();  // jumps to rax: so the first stop is before the first instruction of the code
void stepper_end();
extern void* stepper_resume;
}

// iretq sets flags, stack and instruction at once: with the trap flag, exactly one instruction is executed before the next
// stop. It needs no privilege where it does not change any.
__asm__(R"(
.data
.balign 8
.globl stepper_resume
stepper_resume: .quad 0
.text
.globl stepper_switch, stepper_give_up, stepper_begin, stepper_end
stepper_switch:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, stepper_resume(%rip)
  fxrstor64 (%rsi)
  mov %ss, %eax
  push %rax
  pushq 15*8(%rdi)
  pushq 17*8(%rdi)
  mov %cs, %eax
  push %rax
  pushq 16*8(%rdi)
  mov 0*8(%rdi), %r8
  mov 1*8(%rdi), %r9
  mov 2*8(%rdi), %r10
  mov 3*8(%rdi), %r11
  mov 4*8(%rdi), %r12
  mov 5*8(%rdi), %r13
  mov 6*8(%rdi), %r14
  mov 7*8(%rdi), %r15
  mov 9*8(%rdi), %rsi
  mov 10*8(%rdi), %rbp
  mov 11*8(%rdi), %rbx
  mov 12*8(%rdi), %rdx
  mov 13*8(%rdi), %rax
  mov 14*8(%rdi), %rcx
  mov 8*8(%rdi), %rdi
  iretq
stepper_begin:
  jmp *%rax
stepper_end:
stepper_give_up:
  mov stepper_resume(%rip), %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
)");

namespace sluice::instruction {

static_assert(REG_R8 == 0 && REG_RDI == 8 && REG_RSI == 9 && REG_RBP == 10 && REG_RBX == 11 && REG_RDX == 12 &&
              REG_RAX == 13 && REG_RCX == 14 && REG_RSP == 15 && REG_RIP == 16 && REG_EFL == 17);

namespace {

constexpr long long trap_flag = 0x100;
constexpr long long plain_flags = 0x202;
constexpr size_t red_zone = 128;

stepper* current = nullptr;  // whose code runs with the trap flag
std::vector<stepper::whole_function> whole_functions;

long long address_of(void (*function)()) { return reinterpret_cast<long long>(function); }

// Calls code and comes back here; whoever was put aside before stays so.
void switch_and_return(const long long* gregs, const void* fxsave) {
  void* const outer = stepper_resume;
  stepper_switch(gregs, fxsave);
  stepper_resume = outer;
}

}  // namespace

struct trap_handler {
  static void on_trap(int, siginfo_t*, void* context) {
    ucontext_t& stopped = *static_cast<ucontext_t*>(context);
    auto& gregs = stopped.uc_mcontext.gregs;
    for (const stepper::whole_function function : whole_functions) {
      if (gregs[REG_RIP] != reinterpret_cast<long long>(function)) continue;
      gregs[REG_RAX] = static_cast<long long>(function(reinterpret_cast<void*>(gregs[REG_RDI]),
                                                       reinterpret_cast<const void*>(gregs[REG_RSI])));
      gregs[REG_RIP] = *reinterpret_cast<const long long*>(gregs[REG_RSP]);
      gregs[REG_RSP] += 8;
      break;
    }
    if (current == nullptr || gregs[REG_RIP] == address_of(stepper_end)) {
      gregs[REG_EFL] &= ~trap_flag;
      return;
    }
    stepper& here = *current;
    here.context_ = context;
    (*here.visit_)();
    ++here.boundary_;
    current = &here;
  }
};

// Emulators (valgrind, qemu-user, Rosetta) and some sandboxes take no notice of the trap flag, or end the process.
const char* why_not_stepped() {
  static const char* const reason = [] {
    stepper steps;
    const uint64_t counted = steps.run([](void*) { __asm__ volatile("nop\n\tnop\n\tnop"); }, nullptr, [] {});
    return counted >= 4 ? nullptr : "the trap flag does not stop after each instruction here";
  }();
  return reason;
}

stepper::stepper() : code_stack_(size_t{64} << 10), signal_stack_(size_t{512} << 10) {}

void stepper::execute_whole(whole_function function) {
  if (std::find(whole_functions.begin(), whole_functions.end(), function) == whole_functions.end()) {
    whole_functions.push_back(function);
  }
}

ptrdiff_t stepper::offset() const {
  return static_cast<const ucontext_t*>(context_)->uc_mcontext.gregs[REG_RIP] - reinterpret_cast<ptrdiff_t>(entry_);
}

uint64_t stepper::run(code entry, void* argument, const std::function<void()>& visit) {
  struct sigaction action {};
  action.sa_sigaction = trap_handler::on_trap;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  stack_t registered{};
  registered.ss_sp = signal_stack_.memory.data();
  registered.ss_size = signal_stack_.memory.size();
  registered.ss_flags = static_cast<int>(SS_AUTODISARM);
  if (sigaction(SIGTRAP, &action, nullptr) != 0 || sigaltstack(&registered, nullptr) != 0) {
    throw std::runtime_error("no signal stack for single steps");
  }

  // The code's stack, as after a call by stepper_end.
  auto* const top = reinterpret_cast<long long*>(code_stack_.end());
  top[-1] = address_of(stepper_end);
  alignas(16) uint8_t fxsave[512];
  __asm__ volatile("fxsave64 %0" : "=m"(fxsave));
  long long gregs[NGREG] = {};
  gregs[REG_RIP] = address_of(stepper_begin);
  gregs[REG_RAX] = reinterpret_cast<long long>(entry);
  gregs[REG_RDI] = reinterpret_cast<long long>(argument);
  gregs[REG_RSP] = reinterpret_cast<long long>(top - 1);
  gregs[REG_EFL] = plain_flags | trap_flag;

  stepper* const outer = current;
  entry_ = entry;
  visit_ = &visit;
  boundary_ = 0;
  current = this;
  switch_and_return(gregs, fxsave);
  current = outer;
  return boundary_;
}

void stepper::run_the_rest() {
  const ucontext_t& stopped = *static_cast<const ucontext_t*>(context_);
  long long gregs[NGREG];
  std::memcpy(gregs, stopped.uc_mcontext.gregs, sizeof gregs);
  gregs[REG_EFL] &= ~trap_flag;
  uint8_t* const low = reinterpret_cast<uint8_t*>(gregs[REG_RSP]) - red_zone;
  saved_stack_.assign(low, code_stack_.end());
  switch_and_return(gregs, stopped.uc_mcontext.fpregs);
  std::memcpy(low, saved_stack_.data(), saved_stack_.size());
}

void stepper::abandon() { stepper_give_up(); }

}  // namespace sluice::instruction

#endif
