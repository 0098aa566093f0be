// What the tests of one CPU's rings share: the CPU and a reader of its main ring.
#pragma once

#include <gtest/gtest.h>

#include "tests/pipeline/support.h"

namespace sluice::test {

struct one_cpu_case : testing::Test {
  explicit one_cpu_case(manual_time start = {}) : time(std::move(start)) { from.attach(cpu.main.view); }

  // The next record, which is committed.
  received next() {
    const ring_head head = from.look();
    EXPECT_EQ(head.state, head_state::committed);
    const received got = receive(from.view(head));
    from.take(head);
    return got;
  }

  manual_time time;
  test_cpu cpu{manual_clock{&time}};
  reader from;
};

}  // namespace sluice::test
