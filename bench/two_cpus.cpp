#include "bench/two_cpus.h"

#include <sched.h>

#include <cerrno>
#include <system_error>
#include <thread>

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

}  // namespace sluice::bench
