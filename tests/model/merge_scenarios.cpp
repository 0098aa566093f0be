// Two rings and a merge: the frontier with a clock, order, lateness. With the barrier as fences and as an
// interrupt.
#include "tests/model/model_merge.h"

namespace sluice::model {
namespace {

// The core of it: each CPU writes, the consumer takes T at any moment between.
struct two_writers : scenario, exact_rings {
  void prepare() override { attach(); }
  void work(unsigned thread) override {
    if (thread == 2) {
      (void)pass();
    } else {
      (void)write_record(cpus[thread], thread + 1);
    }
  }
  void check() override { check_all(2); }
};
const both_barriers<two_writers, 3> m1("merge/two_writers/fences", 3, "merge/two_writers/interrupt",
                                       every_execution);

// One CPU reserves, fills and commits, so that its head is seen reserved, stamped and committed; on either
// side of the other.
template <uint32_t reserving>
struct reserve_and_write : scenario, exact_rings {
  void prepare() override { attach(); }
  void work(unsigned thread) override {
    if (thread == 2) {
      (void)pass();
    } else if (thread == reserving) {
      commit(reserve(thread), thread + 1);
    } else {
      (void)write_record(cpus[thread], thread + 1);
    }
  }
  void check() override { check_all(2); }
};
const both_barriers<reserve_and_write<0>, 3> m2("merge/reserve_on_first/fences", 3,
                                                "merge/reserve_on_first/interrupt", 3);
const both_barriers<reserve_and_write<1>, 3> m3("merge/reserve_on_second/fences", 3,
                                                "merge/reserve_on_second/interrupt", 3);

// Two passes; the first CPU has a record pending from before and writes another.
struct two_passes : scenario, exact_rings {
  void prepare() override {
    attach();
    (void)write_record(cpus[0], 1);
  }
  void work(unsigned thread) override {
    if (thread == 2) {
      (void)pass();
      (void)pass();
    } else {
      (void)write_record(cpus[thread], thread + 2);
    }
  }
  void check() override { check_all(3); }
};
const both_barriers<two_passes, 3> m4("merge/two_passes/fences", 3, "merge/two_passes/interrupt", 3);

// One thread is both CPUs in turn; small enough for two passes over records that were reserved long before,
// and are committed in the wrong order while others are written.
struct commits_out_of_order : scenario, exact_rings {
  record first, second;
  void prepare() override {
    attach();
    first = reserve(0);
    second = reserve(0);
    (void)write_record(cpus[1], 3);
  }
  void work(unsigned thread) override {
    if (thread == 1) {
      (void)pass();
      (void)pass();
    } else {
      commit(second, 2);
      (void)write_record(cpus[1], 4);
      commit(first, 1);
    }
  }
  void check() override {
    check_all(4);
    for (uint32_t i = 0; i < 4; ++i) RL_ASSERT(got.entries[i].number == i + 1);
  }
};
const both_barriers<commits_out_of_order, 2> m5("merge/commits_out_of_order/fences", every_execution,
                                                "merge/commits_out_of_order/interrupt", every_execution);

// A ring that wins again is taken in a run; the run ends where the other ring has the older record.
struct run_of_one_ring : scenario, two_rings<exact, 128> {
  run_of_one_ring() : two_rings(exact()) {}
  void prepare() override {
    attach();
    for (uint32_t number = 1; number <= 5; ++number) (void)write_record(cpus[number == 4], number);
  }
  void work(unsigned thread) override {
    if (thread == 1) {
      (void)pass();
    } else {
      (void)write_record(cpus[1], 6);
    }
  }
  void check() override {
    check_all(6);
    for (uint32_t i = 0; i < 6; ++i) RL_ASSERT(got.entries[i].number == i + 1);
  }
};
const both_barriers<run_of_one_ring, 2> m12("merge/run_of_one_ring/fences", 3,
                                            "merge/run_of_one_ring/interrupt", 3);

// Clocks that may differ by a tick between CPUs, and whose ticks are longer than what happens between two
// reads.
struct clocks_a_tick_apart : scenario, exact_rings {
  void prepare() override {
    attach();
    machine.coarse_clock = true;
    machine.time = 100;
    for (int i = 0; i < machine.threads; ++i) machine.ahead[i] = rl::rand(2);
  }
  void work(unsigned thread) override {
    if (thread == 2) {
      (void)pass();
    } else {
      (void)write_record(cpus[thread], thread + 1);
    }
  }
  void check() override { check_all(2); }
};
const both_barriers<clocks_a_tick_apart, 3> m6("merge/clocks_a_tick_apart/fences", 2,
                                               "merge/clocks_a_tick_apart/interrupt", 2);

// A discarded head is skipped and holds nothing back.
struct discarded_head : scenario, exact_rings {
  record open;
  void prepare() override {
    attach();
    open = reserve(0);
    (void)write_record(cpus[1], 1);
  }
  void work(unsigned thread) override {
    if (thread == 1) {
      (void)pass();
      (void)pass();
    } else {
      (void)write_record(cpus[0], 2);
      fill(open, 7);
      open.close(record_state::discarded);
    }
  }
  void check() override {
    check_all(2);
    RL_ASSERT(merger.discarded_records() == 1);
  }
};
const both_barriers<discarded_head, 2> m7("merge/discarded_head/fences", every_execution,
                                          "merge/discarded_head/interrupt", every_execution);

// Slack order whose margin is no margin at all: what comes too late is delivered, marked and counted, and
// nothing is lost.
struct late_is_marked : scenario, two_rings<slack_order> {
  late_is_marked() : two_rings(slack_order(0)) {}
  void prepare() override { attach(); }
  void work(unsigned thread) override {
    if (thread == 2) {
      (void)pass();
    } else {
      (void)write_record(cpus[thread], thread + 1);
    }
  }
  void check() override { check_all(2, got_late()); }

 protected:
  // Before check_all looks at the rest: a record can also be late in the last pass.
  uint32_t got_late() {
    machine.time += 2;
    (void)pass();
    RL_ASSERT(got.count == 2);
    const bool reversed =
        got.entries[1].time < got.entries[0].time ||
        (got.entries[1].time == got.entries[0].time && got.entries[1].ring < got.entries[0].ring);
    RL_ASSERT(got.entries[0].late == false && got.entries[1].late == reversed);
    return reversed;
  }
};
const registration<late_is_marked, 3> m8("merge/late_is_marked", 3);

// Some execution of the above is late: without it the scenario would say nothing.
struct late_can_happen : late_is_marked {
  void check() override { RL_ASSERT(got_late() == 0); }
};
const registration<late_can_happen, 3> m9("merge/late_can_happen", every_execution, barrier_kind::none,
                                          expectation::shows);

// A stamped head that is too old is set aside: it holds nobody back, keeps its room, and comes late.
struct set_aside : scenario, exact_rings {
  record open;
  void prepare() override {
    attach({.set_aside_after = 1});
    open = reserve(0);
    (void)write_record(cpus[1], 2);
    machine.time += 1;
  }
  void work(unsigned thread) override {
    if (thread == 2) {
      (void)pass();
      (void)pass();
    } else if (thread == 0) {
      commit(open, 1);
    } else {
      (void)write_record(cpus[0], 3);
    }
  }
  void check() override {
    const bool aside = merger.set_aside_records() != 0;
    check_all(3, aside ? 1 : 0);
    for (uint32_t i = 0; i < got.count; ++i)
      RL_ASSERT(got.entries[i].late == (aside && got.entries[i].number == 1));
  }
};
const both_barriers<set_aside, 3> m10("merge/set_aside/fences", 3, "merge/set_aside/interrupt",
                                      every_execution);

// A LOSS record and the event behind it, among the records of another CPU: drop, room given back by the merge itself, and the
// announcement at its place in the stream.
struct loss_among_others : scenario, two_rings<exact, 128, 120> {
  bool written = false;
  loss_among_others() : two_rings(exact()) {}
  void prepare() override {
    attach();
    (void)write_record(cpus[0], 1, 104);
    (void)write_record(cpus[0], 7);  // finds no room
    (void)write_record(cpus[1], 2);
  }
  void work(unsigned thread) override {
    if (thread == 1) {
      (void)pass();
      (void)pass();
    } else {
      written = write_record(cpus[0], 3) == reserve_status::ok;
      (void)write_record(cpus[1], written ? 4 : 3);
    }
  }
  void check() override {
    machine.time += 3;
    (void)pass();
    RL_ASSERT(got.count == (written ? 5u : 3u) && pass().emitted == 0);
    got.check_order();
    RL_ASSERT(got.late_count() == 0);
    uint32_t number = 0;
    for (uint32_t i = 0; i < got.count; ++i) {
      if (got.entries[i].type != record_type_loss) {
        RL_ASSERT(got.entries[i].number == ++number);
      } else {
        RL_ASSERT(number == 2 && got.entries[i].lost == 1);
      }
    }
    for (cpu& each : cpus) check_producer(each, capacity);
  }
};
const both_barriers<loss_among_others, 2> m13("merge/loss_among_others/fences", 3, "merge/loss_among_others/interrupt", 3);

// The two lanes of one CPU: what does not fit into the main ring goes to the spare one if it is critical, and
// times keep the order of writing.
struct two_lanes : scenario, exact_rings {
  void prepare() override {
    const region_view<model_seam> main = memory[0].view(0);
    const region_view<model_seam> second = memory[1].view(0, lane_spare);
    cpus[0].attach(main, second, 1u << critical_type);
    cpus[1].attach(spare.view(), spare.view(), 0);
    readers[0].attach(main);
    readers[1].attach(second);
    merger.attach(readers, heads, nodes, count);
    (void)write_record(cpus[0], 1);
    (void)write_record(cpus[0], 2);
  }
  void work(unsigned thread) override {
    if (thread == 1) {
      (void)pass();
      (void)pass();
    } else {
      for (uint32_t number = 3; number <= 4; ++number) {
        const reserve_status status = write_record(cpus[0], number, 8, critical_type);
        RL_ASSERT(status == reserve_status::ok);
      }
    }
  }
  void check() override {
    machine.time += 4;
    check_all(4);
    for (uint32_t i = 0; i < 4; ++i) RL_ASSERT(got.entries[i].number == i + 1);
  }
};
const both_barriers<two_lanes, 2> m11("merge/two_lanes/fences", 3, "merge/two_lanes/interrupt", 3);

}  // namespace
}  // namespace sluice::model
