#include "kernel_port/sim/pageable_code.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#include "kernel_port/sim/check.h"
#include "kernel_port/sim/processor.h"

// Both begin on a page, and no code that everybody needs shares their last one (the linker puts nothing but .fini behind them).
__asm__(".pushsection PAGE,\"ax\",@progbits\n.p2align 12\n.popsection\n"
        ".pushsection INIT,\"ax\",@progbits\n.p2align 12\n.popsection\n");
extern "C" {
// By the linker; both are there, because of the lines above.
extern const char __start_PAGE[], __stop_PAGE[], __start_INIT[], __stop_INIT[];
}

namespace sluice::sim {
namespace {

struct section {
  const char* start;
  const char* stop;

  bool has(const void* address) const { return address >= start && address < stop; }
  // By system call: this runs in a signal handler, where an interceptor of a sanitizer has no place.
  void protect(int protection) const {
    const auto first = reinterpret_cast<uintptr_t>(start);
    const auto end = (reinterpret_cast<uintptr_t>(stop) + PAGE_SIZE - 1) & ~uintptr_t{PAGE_SIZE - 1};
    if (end != first) syscall(SYS_mprotect, first, end - first, protection);
  }
};

const section pageable = {__start_PAGE, __stop_PAGE};
const section initial = {__start_INIT, __stop_INIT};

std::atomic<bool> checks{false};
std::atomic<bool> resident{true};
std::atomic<uint32_t> initializing{0};

bool shares_page(const section& of, const void* address) {
  const auto end = (reinterpret_cast<uintptr_t>(of.stop) + PAGE_SIZE - 1) & ~uintptr_t{PAGE_SIZE - 1};
  return address >= of.stop && reinterpret_cast<uintptr_t>(address) < end;
}

}  // namespace

void start_pageable_code(bool check) {
  if (reinterpret_cast<uintptr_t>(pageable.start) % PAGE_SIZE != 0 || reinterpret_cast<uintptr_t>(initial.start) % PAGE_SIZE != 0) {
    misuse("the sections PAGE and INIT do not begin on a page");
  }
  checks = check;
  if (!check) return;
  resident = true;
  set_raise_attention(raise_attention_code, true);
  initial.protect(PROT_NONE);
}

void stop_pageable_code() {
  if (!checks.exchange(false)) return;
  set_raise_attention(raise_attention_code, false);
  pageable.protect(PROT_READ | PROT_EXEC);
  initial.protect(PROT_READ | PROT_EXEC);
}

void trim_pageable_code() {
  // The flag first: whoever brings it in between finds it gone again, and faults once more.
  set_raise_attention(raise_attention_code, false);
  if (resident.exchange(false)) pageable.protect(PROT_NONE);
}

bool bring_in_pageable_code(const void* address, const thread_state& thread) {
  if (!checks) return false;
  const bool high = thread.irql >= DISPATCH_LEVEL && thread.irql != irql_unattached;
  if (initial.has(address)) {
    stop(bug::PAGE_FAULT_IN_NONPAGED_AREA, as_argument(address), 8, as_argument(address), 0,
         "Code of the section INIT ran after DriverEntry had returned.");
  }
  if (pageable.has(address) && high) {
    stop(bug::DRIVER_IRQL_NOT_LESS_OR_EQUAL, as_argument(address), thread.irql, 8, as_argument(address),
         "Pageable code ran at IRQL %u; pageable code may run at APC_LEVEL at most.", thread.irql);
  }
  if (shares_page(initial, address)) {
    initial.protect(PROT_READ | PROT_EXEC);
    return true;
  }
  if (!pageable.has(address) && !shares_page(pageable, address)) return false;
  pageable.protect(PROT_READ | PROT_EXEC);
  // After the protection is gone, so that a trim that sees the flag undoes it.
  resident = true;
  set_raise_attention(raise_attention_code, true);
  return true;
}

initializing_driver::initializing_driver() {
  if (checks && initializing.fetch_add(1) == 0) initial.protect(PROT_READ | PROT_EXEC);
}

initializing_driver::~initializing_driver() {
  if (checks && initializing.fetch_sub(1) == 1) initial.protect(PROT_NONE);
}

}  // namespace sluice::sim
