#include "bench/two_cpus.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <thread>

#include "bench/support.h"

namespace sluice::bench {
namespace {

cpu_pair find_cpus() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return {0, 0, 1};
  cpu_pair cpus{-1, -1, CPU_COUNT(&allowed)};
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    if (cpus.first < 0) cpus.first = cpu;
    cpus.second = cpu;
  }
  return cpus;
}

}  // namespace

cpu_pair pick_cpus() {
  static const cpu_pair cpus = find_cpus();  // before anything is pinned
  return cpus;
}

void pin_to(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  if (sched_setaffinity(0, sizeof one, &one) != 0) {
    throw std::system_error(errno, std::generic_category(), "sched_setaffinity");
  }
}

void run_on_two_cpus(const std::function<void()>& first, const std::function<void()>& second) {
  std::atomic<int> ready{0};
  const auto meet = [&ready] {
    ready.fetch_add(1);
    while (ready.load() != 2) relax();
  };
  std::thread other([&] {
    pin_to(pick_cpus().second);
    meet();
    second();
  });
  std::thread one([&] {
    pin_to(pick_cpus().first);
    meet();
    first();
  });
  one.join();
  other.join();
}

double round_trip() {
  constexpr uint64_t runs = 5, turns = 100;
  alignas(128) std::atomic<uint64_t> ball{0};
  uint64_t least = ~uint64_t{0};
  const auto wait_for = [&ball](uint64_t value) {
    while (ball.load(std::memory_order_acquire) != value) {
    }
  };
  run_on_two_cpus(
      [&] {
        for (uint64_t i = 0, run = 0; run < runs; ++run) {
          const uint64_t begin = monotonic_nanoseconds();
          for (uint64_t turn = 0; turn < turns; ++turn, i += 2) {
            wait_for(i);
            ball.store(i + 1, std::memory_order_release);
          }
          least = std::min(least, monotonic_nanoseconds() - begin);
        }
      },
      [&] {
        for (uint64_t i = 0; i < 2 * runs * turns; i += 2) {
          wait_for(i + 1);
          ball.store(i + 2, std::memory_order_release);
        }
      });
  return static_cast<double>(least) / turns;
}

}  // namespace sluice::bench
