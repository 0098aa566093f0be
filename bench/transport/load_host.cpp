// transport_load_host PATH [RING_BYTES]: the other process of the transport benchmarks. Runs the simulated kernel with the drivers of load_driver.h, for
// clients that connect to the socket PATH. Commands are lines on stdin; each is answered with one line on stdout. Ends with its input.
//
//   stream COUNT          own events, as fast as they go, behind the reader       -> done DROPPED
//   pace RATE COUNT       own events, RATE a second, whoever reads                 -> done DROPPED
//   textbook COUNT, textbook_pace RATE COUNT    the same through the textbook's list
//   offer RATE NANOSECONDS FILE [RECORDING]     own events by a schedule (bench/curve/generator.h), in the recording's rhythm;
//                         what was noted goes to FILE (bench/curve/load_file.h)     -> done DROPPED
//   switches              context switches of this process so far                  -> done COUNT
#include <sched.h>
#include <time.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "bench/curve/generator.h"
#include "bench/curve/load_file.h"
#include "bench/transport/context_switches.h"
#include "bench/transport/load_driver.h"
#include "kernel_port/sim/host/machine_host.h"
#include "kernel_port/sim/machine.h"
#include "kernel_port/sources/synthetic/load_shape.h"

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
    dropped += make(i, static_cast<uint64_t>(next.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(next.tv_nsec)) ? 0 : 1;
  }
  return dropped;
}

bool write_textbook(uint64_t sequence, uint64_t) {
  textbook_write(sequence);
  return true;
}

struct driver_maker {
  bool make(uint64_t number, uint64_t due) const { return write_one(number, due); }
  ring_position position() const {
    const load_ring ring = ring_of_load();
    return {ring.published, ring.consumed};
  }
};

uint64_t offer(double rate, uint64_t length, const char* file, const char* recording) {
  const schedule plan(rate, length, *recording == '\0' ? std::vector<double>{1.0} : synthetic::from_recording(recording).levels);
  driver_maker maker;
  generated done;
  generator<driver_maker> load(maker, done, plan.events());
  load.offer(plan);
  load.close();
  save_load(done, room_of_load(), file);
  return done.dropped;
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
  char file[512] = "", recording[512] = "";
  double per_second = 0;
  if (std::sscanf(line, "offer %lf %" SCNu64 " %511s %511s", &per_second, &count, file, recording) >= 3) {
    return offer(per_second, count, file, recording);
  }
  if (std::strncmp(line, "switches", 8) == 0) return context_switches();
  std::fprintf(stderr, "transport_load_host: what is this? %s", line);
  std::exit(1);
}

int run(const char* path, uint32_t ring_bytes) {
  cpu_set_t all;
  std::memset(&all, 0xff, sizeof all);
  sched_setaffinity(0, sizeof all, &all);  // whoever started this was pinned

  sim::machine_options options;
  options.processors = 2;
  options.check_paged_access = false;  // the check trims memory at every raise, which is not what is measured
  options.shared_memory = true;
  options.service_parameters = {{u"load", u"RingBytes", ring_bytes}};
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
    for (char line[2048]; std::fgets(line, sizeof line, stdin) != nullptr;) {
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
  if (count != 2 && count != 3) {
    std::fputs("usage: transport_load_host PATH [RING_BYTES]\n", stderr);
    return 1;
  }
  return sluice::bench::run(arguments[1], count == 3 ? static_cast<uint32_t>(std::strtoul(arguments[2], nullptr, 10)) : 1 << 20);
}
