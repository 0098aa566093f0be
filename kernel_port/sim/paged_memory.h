// Paged memory: one arena for the paged pool and for the strings that callbacks are given. At DISPATCH_LEVEL
// and above it may not be touched; a touch is bug check 0xD1.
//
// Two mechanisms. Protection keys, where the host has them: raising denies the arena to this thread, lowering
// allows it; exact. Otherwise trimming, as Driver Verifier's "Force IRQL checking" does it: raising to
// DISPATCH_LEVEL makes the arena inaccessible if anything was brought in since; a fault below DISPATCH_LEVEL
// brings it in again, a fault at DISPATCH_LEVEL is the bug check. While nothing is brought in, raising costs
// nothing more. A page that another thread brought in a moment ago is trimmed at most every few microseconds:
// without that, two busy threads would only page against each other. So a touch of memory that another thread
// has just used may go unseen; a thread's own never does.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "kernel_port/sim/internal_lock.h"
#include "kernel_port/sim/machine.h"

namespace sluice::sim {

// `handles_faults`: others need this handler, too: pages of shared memory are moved, and stores to them wait in it
// (kernel_port/sim/shared_memory.h); code is paged out (kernel_port/sim/pageable_code.h).
void start_paged_memory(bool check, bool handles_faults);
void stop_paged_memory();
machine::paged_check paged_check_in_use();

// Null if the arena is full. Any IRQL up to APC_LEVEL (the caller checks).
void* allocate_paged(size_t size);
void free_paged(void* memory);
bool is_paged(const void* memory);
// What the simulation itself does before it touches paged memory: cheaper than a fault.
void bring_in_paged_memory(thread_state& thread);

void trim_paged_memory(thread_state& thread);
void deny_paged_memory();
void allow_paged_memory();

// A string of the simulation in paged memory; null stays null.
class paged_string {
 public:
  explicit paged_string(const std::optional<std::u16string>& text);
  ~paged_string();
  paged_string(const paged_string&) = delete;
  paged_string& operator=(const paged_string&) = delete;
  PUNICODE_STRING get() const { return const_cast<PUNICODE_STRING>(present_ ? &string_ : nullptr); }

 private:
  UNICODE_STRING string_{};
  bool present_ = false;
};

}  // namespace sluice::sim
