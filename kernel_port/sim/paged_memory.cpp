#include "kernel_port/sim/paged_memory.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "kernel_port/sim/check.h"
#include "kernel_port/sim/pageable_code.h"
#include "kernel_port/sim/processor.h"
#include "kernel_port/sim/sanitizers.h"
#include "kernel_port/sim/shared_memory.h"
#include "kernel_port/sim/time.h"
#include "kernel_port/sim/user_memory.h"

namespace sluice::sim {
namespace {

constexpr size_t arena_size = size_t{256} << 20;
constexpr size_t granule = 64;
constexpr uint64_t trim_interval = 200;  // ticks of 100 ns: how often pages of other threads are trimmed

struct arena {
  char* base = nullptr;
  size_t high = 0;  // bytes from base that were ever given out, whole pages
  machine::paged_check check = machine::paged_check::off;
  int key = -1;
  bool handles_faults = false;
  struct sigaction previous {};
  internal_mutex mutex;
  std::map<char*, size_t> used;
  std::multimap<size_t, char*> free;
  std::map<char*, size_t> free_by_address;
  // Whether the arena is accessible, under trimming. Set by whoever brings it in, cleared by who trims.
  std::atomic<uint32_t> resident{0};
  std::atomic<size_t> accessible_bytes{0};
  std::atomic<uint64_t> brought_in_at{0};
};
arena the_arena;

bool in_arena(const void* address) {
  const auto* where = static_cast<const char*>(address);
  return the_arena.base && where >= the_arena.base && where < the_arena.base + arena_size;
}

void protect(int protection) {
  // mprotect by system call: this runs in a signal handler, where an interceptor of a sanitizer has no place.
  syscall(SYS_mprotect, the_arena.base, the_arena.accessible_bytes.load(std::memory_order_relaxed),
          protection);
}

void bring_in(thread_state& thread) {
  thread.paged_in = true;
  the_arena.brought_in_at.store(interrupt_time(), std::memory_order_relaxed);
  protect(PROT_READ | PROT_WRITE);
  // After the protection is gone, so that a trim that sees the flag undoes it.
  the_arena.resident.store(1, std::memory_order_seq_cst);
  set_raise_attention(raise_attention_paged, true);
}

void on_fault(int signal, siginfo_t* info, void* context) {
  thread_state& thread = self();
  if (info->si_code == SEGV_ACCERR && shared_memory::wait_for_move(info->si_addr)) return;
  if (bring_in_pageable_code(info->si_addr, thread)) return;
  if (in_arena(info->si_addr) && the_arena.check != machine::paged_check::off) {
    const auto* machine_context = &static_cast<ucontext_t*>(context)->uc_mcontext;
    if (thread.irql >= DISPATCH_LEVEL && thread.irql != irql_unattached) {
      const auto ip = static_cast<uint64_t>(machine_context->gregs[REG_RIP]);
      const bool write = machine_context->gregs[REG_ERR] & 2;
      stop(bug::DRIVER_IRQL_NOT_LESS_OR_EQUAL, reinterpret_cast<uint64_t>(info->si_addr), thread.irql,
           write ? 1 : 0, ip,
           "Paged memory was %s at IRQL %u; paged memory may be touched at APC_LEVEL at most.",
           write ? "written" : "read", thread.irql);
    }
    if (the_arena.check == machine::paged_check::trimming &&
        static_cast<char*>(info->si_addr) < the_arena.base + the_arena.accessible_bytes.load()) {
      bring_in(thread);
      return;
    }
#if defined(__x86_64__) && defined(SEGV_PKUERR)
    if (the_arena.check == machine::paged_check::protection_keys && info->si_code == SEGV_PKUERR) {
      // A host thread from before the machine: its rights were never set. They are part of the state that the
      // return from this handler restores, so they cannot be set here; the attachment does.
      misuse("paged memory was touched by a host thread that holds no activity");
    }
#endif
  }
  if (is_user_address(info->si_addr) && thread.irql != irql_unattached) {
    const auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    stop(bug::SYSTEM_SERVICE_EXCEPTION, static_cast<uint32_t>(STATUS_ACCESS_VIOLATION),
         static_cast<uint64_t>(registers[REG_RIP]), reinterpret_cast<uint64_t>(info->si_addr), 0,
         "Memory of a process was touched without a handler for exceptions; the process may unmap it at any time.");
  }
  // Not ours: as if we were not here.
  const struct sigaction& previous = the_arena.previous;
  if (previous.sa_flags & SA_SIGINFO) {
    if (previous.sa_sigaction) return previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    return previous.sa_handler(signal);
  }
  struct sigaction dead {};
  dead.sa_handler = SIG_DFL;
  sigaction(SIGSEGV, &dead, nullptr);  // returns to the faulting instruction, and dies there
}

int allocate_key() {
#if defined(__x86_64__)
  return static_cast<int>(syscall(SYS_pkey_alloc, 0, 0));
#else
  return -1;
#endif
}

}  // namespace

void start_paged_memory(bool check, bool handles_faults) {
  arena& arena = the_arena;
  if (!arena.base) {
    void* memory = mmap(nullptr, arena_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    arena.base = static_cast<char*>(memory);
  }
  arena.check = machine::paged_check::off;
  if (check) {
    arena.key = allocate_key();
    arena.check = arena.key >= 0 ? machine::paged_check::protection_keys : machine::paged_check::trimming;
  }
  arena.handles_faults = check || handles_faults;
  if (arena.handles_faults) {
    struct sigaction action {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &arena.previous);
  }
  set_raise_attention(raise_attention_keys, arena.check == machine::paged_check::protection_keys);
}

void stop_paged_memory() {
  arena& arena = the_arena;
  set_raise_attention(raise_attention_keys, false);
  set_raise_attention(raise_attention_paged, false);
  if (arena.handles_faults) sigaction(SIGSEGV, &arena.previous, nullptr);
  unpoison(arena.base, arena_size);
  munmap(arena.base, arena_size);
#if defined(__x86_64__)
  if (arena.key >= 0) syscall(SYS_pkey_free, arena.key);
#endif
  arena.base = nullptr;
  arena.high = 0;
  arena.key = -1;
  arena.check = machine::paged_check::off;
  arena.used.clear();
  arena.free.clear();
  arena.free_by_address.clear();
  arena.resident = 0;
  arena.accessible_bytes = 0;
}

machine::paged_check paged_check_in_use() {
  return the_arena.check;
}

bool is_paged(const void* memory) {
  return in_arena(memory);
}

void bring_in_paged_memory(thread_state& thread) {
  if (the_arena.check == machine::paged_check::trimming && !the_arena.resident.load()) bring_in(thread);
  thread.paged_in = true;
}

void trim_paged_memory(thread_state& thread) {
  if (the_arena.check != machine::paged_check::trimming) return;
  if (!thread.paged_in &&
      interrupt_time() - the_arena.brought_in_at.load(std::memory_order_relaxed) < trim_interval) {
    return;
  }
  thread.paged_in = false;
  // The flag first: a thread that brings pages in between finds them gone again and faults once more; the
  // other way round, pages could stay accessible with nobody to trim them.
  set_raise_attention(raise_attention_paged, false);
  if (the_arena.resident.exchange(0) != 0) protect(PROT_NONE);
}

#if defined(__x86_64__)
namespace {
void set_rights(uint32_t denied) {
  if (the_arena.key < 0) return;
  const int shift = 2 * the_arena.key;
  uint32_t rights, edx;
  asm volatile(".byte 0x0f,0x01,0xee" : "=a"(rights), "=d"(edx) : "c"(0));  // rdpkru
  rights = (rights & ~(3u << shift)) | denied << shift;
  asm volatile(".byte 0x0f,0x01,0xef" : : "a"(rights), "c"(0), "d"(0) : "memory");  // wrpkru
}
}  // namespace
void deny_paged_memory() {
  set_rights(1);
}
void allow_paged_memory() {
  set_rights(0);
}
#else
void deny_paged_memory() {}
void allow_paged_memory() {}
#endif

void* allocate_paged(size_t size) {
  arena& arena = the_arena;
  thread_state& thread = self();
  const size_t alignment = size >= PAGE_SIZE ? PAGE_SIZE : granule;
  const size_t rounded = std::max(alignment, (size + alignment - 1) & ~(alignment - 1));
  internal_lock lock(arena.mutex);
  char* found = nullptr;
  for (auto entry = arena.free.lower_bound(rounded); entry != arena.free.end(); ++entry) {
    char* block = entry->second;
    const size_t length = entry->first;
    if (alignment == PAGE_SIZE && reinterpret_cast<uintptr_t>(block) % PAGE_SIZE != 0) continue;
    arena.free.erase(entry);
    arena.free_by_address.erase(block);
    if (length > rounded) {
      arena.free.emplace(length - rounded, block + rounded);
      arena.free_by_address.emplace(block + rounded, length - rounded);
    }
    found = block;
    break;
  }
  if (!found) {
    size_t start = (arena.high + alignment - 1) & ~(alignment - 1);
    // Small blocks come out of whole pages, so that the accessible part stays a multiple of pages.
    const size_t end = (start + rounded + PAGE_SIZE - 1) & ~size_t{PAGE_SIZE - 1};
    if (end > arena_size) return nullptr;
    if (start > arena.high) {
      arena.free.emplace(start - arena.high, arena.base + arena.high);
      arena.free_by_address.emplace(arena.base + arena.high, start - arena.high);
    }
    found = arena.base + start;
    if (end > start + rounded) {
      arena.free.emplace(end - start - rounded, found + rounded);
      arena.free_by_address.emplace(found + rounded, end - start - rounded);
    }
    arena.high = end;
    arena.accessible_bytes.store(end);
    if (arena.check == machine::paged_check::trimming) {
      // New pages are brought in with the rest.
      bring_in(thread);
    } else {
      mprotect(arena.base, end, PROT_READ | PROT_WRITE);
#if defined(__x86_64__)
      if (arena.key >= 0) syscall(SYS_pkey_mprotect, arena.base, end, PROT_READ | PROT_WRITE, arena.key);
#endif
    }
  }
  arena.used.emplace(found, rounded);
  unpoison(found, rounded);
  if (size < rounded) poison(found + size, rounded - size);
  return found;
}

void free_paged(void* memory) {
  arena& arena = the_arena;
  internal_lock lock(arena.mutex);
  const auto entry = arena.used.find(static_cast<char*>(memory));
  if (entry == arena.used.end()) return;  // the pool has checked
  char* block = entry->first;
  size_t length = entry->second;
  arena.used.erase(entry);
  poison(block, length);
  const auto erase_free = [&](char* at, size_t bytes) {
    for (auto [first, last] = arena.free.equal_range(bytes); first != last; ++first) {
      if (first->second == at) {
        arena.free.erase(first);
        break;
      }
    }
    arena.free_by_address.erase(at);
  };
  // Joined with its neighbours.
  auto next = arena.free_by_address.lower_bound(block);
  if (next != arena.free_by_address.end() && next->first == block + length) {
    const size_t bytes = next->second;
    erase_free(next->first, bytes);
    length += bytes;
  }
  auto after = arena.free_by_address.lower_bound(block);
  if (after != arena.free_by_address.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second == block) {
      char* const at = before->first;
      const size_t bytes = before->second;
      erase_free(at, bytes);
      block = at;
      length += bytes;
    }
  }
  arena.free.emplace(length, block);
  arena.free_by_address.emplace(block, length);
}

paged_string::paged_string(const std::optional<std::u16string>& text) {
  if (!text) return;
  present_ = true;
  const size_t bytes = std::min<size_t>(text->size() * sizeof(char16_t), 0xfffe);
  if (bytes == 0) return;
  void* memory = allocate_paged(bytes);
  if (!memory) {
    present_ = false;  // as under memory pressure: the callback sees NULL
    return;
  }
  bring_in_paged_memory(self());
  memcpy(memory, text->data(), bytes);
  string_.Length = string_.MaximumLength = static_cast<USHORT>(bytes);
  string_.Buffer = static_cast<PWCH>(memory);
}

paged_string::~paged_string() {
  if (string_.Buffer) free_paged(string_.Buffer);
}

}  // namespace sluice::sim
