#include "kernel_port/wine/rules.h"

#include <atomic>
#include <cstdio>
#include <cstring>

namespace sluice::wine {
namespace {

std::atomic<uint64_t> irql_violations{0};
std::atomic<uint64_t> pool_violations{0};
std::atomic<uint64_t> faults{0};
lock last_lock;
char last[64];

void keep(const char* what) {
  DbgPrint("substitutes: a rule was broken: %s\n", what);
  const locked held(last_lock);
  std::memset(last, 0, sizeof last);
  std::snprintf(last, sizeof last, "%s", what);
}

}  // namespace

void report_violation(const char* what) {
  irql_violations.fetch_add(1, std::memory_order_relaxed);
  keep(what);
}

void report_pool_violation(const char* what) {
  pool_violations.fetch_add(1, std::memory_order_relaxed);
  keep(what);
}

void require_irql(uint32_t highest, const char* function) {
  const uint32_t now = this_thread().irql;
  if (now <= highest) return;
  char text[64];
  std::snprintf(text, sizeof text, "%s at IRQL %u, allowed up to %u", function, now, highest);
  report_violation(text);
}

void count_fault() { faults.fetch_add(1, std::memory_order_relaxed); }

void add_rule_counters(injection_counters& to) {
  to.irql_violations = irql_violations.load(std::memory_order_relaxed);
  to.pool_violations = pool_violations.load(std::memory_order_relaxed);
  to.faults_caught = faults.load(std::memory_order_relaxed);
  const locked held(last_lock);
  for (size_t i = 0; i < sizeof last; ++i) to.last_violation[i] = static_cast<char16_t>(last[i]);
}

}  // namespace sluice::wine
