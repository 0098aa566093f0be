// Sleep and wake-up (W1): the consumer never sleeps for ever while a record is closed and could be delivered.
// It sleeps only while fewer records came out than the threads commit, so a wake-up that is lost ends as a
// deadlock.
#include "tests/model/model_merge.h"

namespace sluice::model {
namespace {

// The consumer's loop is that of kernel_port/driver/worker.cpp, with the barrier for the margin, and with a
// bound: after so many passes the execution is of no interest any more.
struct sleeping_consumer : exact_rings {
  wake line;
  sticky_event event;

  void consume(uint32_t records, int passes) {
    for (; passes != 0 && got.count < records; --passes) {
      line.announce(announcement::any_close);
      const pass_result result = pass();
      if (got.count < records && result.may_sleep()) event.wait();
      line.announce(announcement::running);
    }
  }
  // Whoever has closed a record.
  void after_close() {
    if (line.after_close() != announcement::running) event.set();
    step(RL_INFO);  // the CPU goes on: an interrupt may come after the last thing that matters
  }
};

// One record written at once.
struct one_write : scenario, sleeping_consumer {
  void prepare() override { attach(); }
  void work(unsigned thread) override {
    if (thread == 0) {
      (void)write_record(cpus[0], 1);
      after_close();
    } else {
      consume(1, 3);
    }
  }
  void check() override { check_all(1); }
};
const both_barriers<one_write, 2> w1("wake/one_write/fences", 3, "wake/one_write/interrupt", every_execution);

// Reserved, stamped, committed while the consumer is about to sleep: the reserved and the stamped case.
struct one_reservation : scenario, sleeping_consumer {
  void prepare() override { attach(); }
  void work(unsigned thread) override {
    if (thread == 0) {
      commit(reserve(0), 1);
      after_close();
    } else {
      consume(1, 3);
    }
  }
  void check() override { check_all(1); }
};
const both_barriers<one_reservation, 2> w2("wake/one_reservation/fences", 3, "wake/one_reservation/interrupt",
                                           every_execution);

// Two reservations of one CPU, committed by two threads in any order: the one behind cannot be delivered
// before the first.
struct out_of_order : scenario, sleeping_consumer {
  record open[2];
  void prepare() override {
    attach();
    open[0] = reserve(0);
    open[1] = reserve(0);
  }
  void work(unsigned thread) override {
    if (thread == 2) {
      consume(2, 3);
    } else {
      commit(open[thread], thread + 1);
      after_close();
    }
  }
  void check() override { check_all(2); }
};
const both_barriers<out_of_order, 3> w3("wake/out_of_order/fences", 3, "wake/out_of_order/interrupt", 3);

// A record on each of two CPUs, the older one open when the younger is already there.
struct open_on_another_cpu : scenario, sleeping_consumer {
  record open;
  void prepare() override {
    attach();
    open = reserve(1);
  }
  void work(unsigned thread) override {
    if (thread == 2) {
      consume(2, 3);
    } else if (thread == 1) {
      commit(open, 1);
      after_close();
    } else {
      (void)write_record(cpus[0], 2);
      after_close();
    }
  }
  void check() override { check_all(2); }
};
const both_barriers<open_on_another_cpu, 3> w4("wake/open_on_another_cpu/fences", 3,
                                               "wake/open_on_another_cpu/interrupt", 3);

// What lets the last record out is that another is discarded.
struct discard_wakes : scenario, sleeping_consumer {
  record open;
  void prepare() override {
    attach();
    open = reserve(1);
    (void)write_record(cpus[0], 1);
  }
  void work(unsigned thread) override {
    if (thread == 1) {
      consume(1, 3);
    } else {
      fill(open, 7);
      open.close(record_state::discarded);
      after_close();
    }
  }
  void check() override { check_all(1); }
};
const both_barriers<discard_wakes, 2> w5("wake/discard_wakes/fences", every_execution,
                                         "wake/discard_wakes/interrupt", every_execution);

// A record that was set aside is closed while the consumer sleeps, or is about to.
struct set_aside : scenario, sleeping_consumer {
  record open;
  void prepare() override {
    attach({.set_aside_after = 1});
    open = reserve(0);
    machine.time += 1;
  }
  void work(unsigned thread) override {
    if (thread == 1) {
      consume(1, 3);
    } else {
      commit(open, 1);
      after_close();
    }
  }
  void check() override { check_all(1, merger.set_aside_records() != 0 ? 1 : 0); }
};
const both_barriers<set_aside, 2> w6("wake/set_aside/fences", every_execution, "wake/set_aside/interrupt",
                                     every_execution);

// W2: what is final does not wait for an open reservation that is younger. The record of CPU 1 is older than the
// reservation of CPU 0, whose holder waits for it to come out before it commits: a consumer that sleeps over the head
// while that has no time yet sleeps for ever, for no close comes.
struct younger_reservation : scenario, sleeping_consumer {
  sticky_event delivered;
  void prepare() override {
    attach();
    (void)write_record(cpus[1], 1);
  }
  void work(unsigned thread) override {
    if (thread == 1) {
      consume(1, 3);
      delivered.set();  // or gives up: it did not sleep
      consume(2, 2);
    } else {
      const record open = reserve(0);
      delivered.wait();
      commit(open, 2);
      after_close();
    }
  }
  void check() override { check_all(2); }
};
const both_barriers<younger_reservation, 2> w7("wake/younger_reservation/fences", 3, "wake/younger_reservation/interrupt", 3);

// Announcement level `threshold`: an ordinary record wakes nobody (a timed sleep bounds its wait; here it has no end), a
// critical one does, and brings out what is older. The rule is that of producers/channel.cpp.
struct critical_at_threshold : scenario, sleeping_consumer {
  void prepare() override { attach(); }
  void work(unsigned thread) override {
    if (thread == 1) {
      for (int passes = 4; passes != 0 && !got.has(2); --passes) {
        line.announce(announcement::threshold);
        const pass_result result = pass();
        if (!got.has(2) && result.may_sleep()) event.wait();
        line.announce(announcement::running);
      }
      if (got.has(2)) got.check_once(1);
    } else {
      for (const uint16_t type : {ordinary_type, critical_type}) {
        (void)write_record(cpus[0], type == critical_type ? 2 : 1, 8, type);
        const announcement level = line.after_close();
        if (level == announcement::any_close || (level == announcement::threshold && type == critical_type)) event.set();
      }
    }
  }
  void check() override { check_all(2); }
};
const both_barriers<critical_at_threshold, 2> w8("wake/critical_at_threshold/fences", 3,
                                                 "wake/critical_at_threshold/interrupt", 3);

}  // namespace
}  // namespace sluice::model
