// What the tests of overwrite mode share: a CPU whose rings overwrite their oldest records, a merge that reads them, and a count
// of what came of it.
#pragma once

#include <gtest/gtest.h>

#include <map>

#include "tests/pipeline/support.h"

namespace sluice::test {

constexpr cpu_options overwriting(uint32_t start_position = 0, uint16_t cpu = 0) {
  cpu_options options;
  options.main.critical_bytes = 0;
  options.start_position = start_position;
  options.cpu = cpu;
  options.mode = ring_mode::overwrite;
  return options;
}

// A stream that was read: what was delivered, and what it says was overwritten.
struct tally {
  std::map<uint16_t, uint64_t> delivered, missed;
  uint64_t late = 0;

  explicit tally(const std::vector<received>& records) {
    for (const received& each : records) {
      late += each.late;
      if (!each.overwritten) {
        ++delivered[each.type];
        continue;
      }
      EXPECT_EQ(each.type, record_type_loss);
      const decoded_loss loss = decode_loss(each.payload);
      EXPECT_EQ(loss.fixed.cause, static_cast<uint32_t>(loss_cause::overwritten));
      uint64_t events = 0;
      for (const loss_entry& entry : loss.entries) {
        missed[entry.type] += entry.events;
        events += entry.events;
      }
      EXPECT_EQ(loss.fixed.events, events);
    }
  }
};

struct overwrite_case : testing::Test {
  manual_time time{1, 1, {}};
  test_cpu cpu{manual_clock{&time}, overwriting(0xfffff000)};  // positions wrap in the middle
  exact_merge merged{manual_clock{&time}, exact(scripted_barrier{}), {&cpu.main, &cpu.spare}};
  collector sink;

  void read_all() {
    time.now += 10;
    merged.pass(sink);
    merged.merged.release();
  }
  void flood(uint32_t first, uint32_t count, uint32_t length = 40) {
    for (uint32_t i = 0; i < count; ++i) ASSERT_EQ(cpu.write(first + i, length), reserve_status::ok);
  }
};

}  // namespace sluice::test
