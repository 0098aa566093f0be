// transport_load_host PATH: the other process of the transport benchmarks. Runs the simulated kernel with the drivers of load_driver.h, for
// clients that connect to the socket PATH. Commands are lines on stdin; each is answered with one line on stdout. Ends with its input.
//
//   stream COUNT          own events, as fast as they go, behind the reader       -> done DROPPED
//   pace RATE COUNT       own events, RATE a second, whoever reads                 -> done DROPPED
//   textbook COUNT, textbook_pace RATE COUNT    the same through the textbook's list
//   switches              context switches of this process so far                  -> done COUNT
#include <sched.h>
#include <time.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "bench/transport/context_switches.h"
#include "bench/transport/load_driver.h"
#include "kernel_port/sim/host/machine_host.h"
#include "kernel_port/sim/machine.h"

namespace sluice::bench {
namespace {

template <class function>
uint64_t at_a_pace(uint64_t rate, uint64_t count, function&& make) {
  timespec next;
  clock_gettime(CLOCK_MONOTONIC, &next);
  uint64_t dropped = 0;
  for (uint64_t i = 0; i < count; ++i) {
    next.tv_nsec += static_cast<long>(1'000'000'000 / rate);
    if (next.tv_nsec >= 1'000'000'000) {
      next.tv_nsec -= 1'000'000'000;
      ++next.tv_sec;
    }
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, nullptr);
    dropped += make(i) ? 0 : 1;
  }
  return dropped;
}

bool write_textbook(uint64_t sequence) {
  textbook_write(sequence);
  return true;
}

uint64_t answer(sim::machine& machine, const char* line) {
  const sim::activity here(machine, 0, 4, 8);
  uint64_t rate = 0, count = 0;
  if (std::sscanf(line, "stream %" SCNu64, &count) == 1) return write_behind_reader(0, count);
  if (std::sscanf(line, "pace %" SCNu64 " %" SCNu64, &rate, &count) == 2) return at_a_pace(rate, count, &write_one);
  if (std::sscanf(line, "textbook_pace %" SCNu64 " %" SCNu64, &rate, &count) == 2) {
    return at_a_pace(rate, count, &write_textbook);
  }
  if (std::sscanf(line, "textbook %" SCNu64, &count) == 1) {
    for (uint64_t i = 0; i < count; ++i) textbook_write(i);
    return 0;
  }
  if (std::strncmp(line, "switches", 8) == 0) return context_switches();
  std::fprintf(stderr, "transport_load_host: what is this? %s", line);
  std::exit(1);
}

int run(const char* path) {
  cpu_set_t all;
  std::memset(&all, 0xff, sizeof all);
  sched_setaffinity(0, sizeof all, &all);  // whoever started this was pinned

  sim::machine_options options;
  options.processors = 2;
  options.check_paged_access = false;  // the check trims memory at every raise, which is not what is measured
  options.shared_memory = true;
  options.service_parameters = {{u"load", u"RingBytes", 1 << 20}};
  sim::machine machine(options);
  if (!NT_SUCCESS(machine.load_driver("load", &LoadDriverEntry)) ||
      !NT_SUCCESS(machine.load_driver("textbook", &TextbookDriverEntry))) {
    std::fputs("transport_load_host: a driver did not load\n", stderr);
    return 1;
  }
  {
    const sim::machine_host host(machine, {.path = path});
    std::puts("ready");
    std::fflush(stdout);
    for (char line[128]; std::fgets(line, sizeof line, stdin) != nullptr;) {
      std::printf("done %" PRIu64 "\n", answer(machine, line));
      std::fflush(stdout);
    }
  }
  (void)machine.unload_driver("textbook");
  (void)machine.unload_driver("load");
  return 0;
}

}  // namespace
}  // namespace sluice::bench

int main(int count, char** arguments) {
  if (count != 2) {
    std::fputs("usage: transport_load_host PATH\n", stderr);
    return 1;
  }
  return sluice::bench::run(arguments[1]);
}
