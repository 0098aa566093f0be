// Writes events from two threads at once while a third merges them. Exit code 0 if every event was delivered whole and in order, or
// announced as lost, and the accounts agree. A user build of the rings: what it says of Windows is that this code does its work in a
// process there; nothing of a kernel.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <new>
#include <thread>

#include "tests/user_rings/user_rings.h"

namespace {

constexpr uint64_t ticks_a_second = 1000000000;
constexpr uint64_t events = 200000;  // by each writer: many times what a ring holds

void* allocate(uint64_t bytes) {
  void* const memory = ::operator new(bytes, std::align_val_t(4096));  // kept until the end
  std::memset(memory, 0, bytes);
  return memory;
}

}  // namespace

// The kernel's clock, by its name and with its arguments; in registers on both machines, as LARGE_INTEGER is.
extern "C" int64_t KeQueryPerformanceCounter(int64_t* frequency) {
  if (frequency != nullptr) *frequency = ticks_a_second;
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}
#ifdef _WIN32
extern "C" {
extern void* __imp_KeQueryPerformanceCounter;
void* __imp_KeQueryPerformanceCounter = reinterpret_cast<void*>(&KeQueryPerformanceCounter);
}
#endif

int main() {
  using namespace user_rings;
  if (!start(&allocate)) return 2;
  std::atomic<uint64_t> attempted{0};
  std::atomic<uint64_t> refused{0};
  const auto try_to_emit = [&](uint32_t cpu, uint64_t number) {
    ++attempted;
    const bool done = emit(cpu, number, number % 3 == 0);
    refused += !done;
    return done;
  };
  std::thread writers[cpus];
  for (uint32_t cpu = 0; cpu < cpus; ++cpu) {
    writers[cpu] = std::thread([&, cpu] {
      for (uint64_t number = 0; number < events; ++number) {
        (void)try_to_emit(cpu, number);
        if (number % 1000 == 0) std::this_thread::yield();
      }
    });
  }
  seen what;
  std::atomic<bool> over{false};
  std::thread merging([&] {
    while (!over) merge_once(what);
    for (uint32_t attempt = 0; attempt < 100000 && what.records + what.lost < attempted; ++attempt) merge_once(what);
  });
  for (std::thread& each : writers) each.join();
  for (uint32_t cpu = 0; cpu < cpus; ++cpu) {  // a loss at the very end is announced in front of what follows it
    for (uint64_t number = events; !try_to_emit(cpu, number); ++number) std::this_thread::yield();
  }
  over = true;
  merging.join();

  uint64_t committed = 0, dropped = 0;
  for (uint32_t cpu = 0; cpu < cpus; ++cpu) {
    const account row = settle(cpu);
    committed += row.committed;
    dropped += row.dropped;
  }
  std::printf("%llu events: %llu records, %llu announced as lost, %llu refused; %llu damaged, %llu out of order\n",
              static_cast<unsigned long long>(attempted), static_cast<unsigned long long>(what.records),
              static_cast<unsigned long long>(what.lost), static_cast<unsigned long long>(refused),
              static_cast<unsigned long long>(what.damaged), static_cast<unsigned long long>(what.out_of_order));
  const bool kept = what.records + what.lost == attempted && what.lost == refused && dropped == refused &&
                    committed == what.records && what.damaged == 0 && what.out_of_order == 0;
  if (!kept) std::printf("not kept: %llu committed, %llu dropped\n", static_cast<unsigned long long>(committed),
                         static_cast<unsigned long long>(dropped));
  return kept ? 0 : 1;
}
