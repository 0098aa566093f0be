#include "stress/report.h"

#include <unistd.h>

#include <cstdio>
#include <mutex>

namespace sluice::stress {
namespace {

std::function<void(uint32_t)>& dump_function() {
  static std::function<void(uint32_t)> dump;
  return dump;
}

}  // namespace

void set_dump(std::function<void(uint32_t cpu)> dump) { dump_function() = std::move(dump); }

void broken_text(const char* invariant, uint32_t cpu, const std::string& what) {
  // Never given back: one report, however many threads find something.
  static std::mutex once;
  once.lock();
  std::fflush(stdout);
  fmt::print(stderr, "\nBROKEN {}: {}\n", invariant, what);
  if (cpu != no_cpu) fmt::print(stderr, "  on virtual CPU {}\n", cpu);
  if (dump_function()) dump_function()(cpu);
  std::fflush(stderr);
  // The other threads run on: nothing may be torn down under them.
  _exit(2);
}

}  // namespace sluice::stress
