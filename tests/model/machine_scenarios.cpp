// The model's own machine: what it must let happen, and what it must prevent. Without the first the proofs
// would be about a machine stronger than the real ones.
#include "tests/model/model_seam.h"
#include "tests/model/scenario.h"

namespace sluice::model {
namespace {

// Two CPUs store, then load the other's word. Both may miss the other's store, as in any store buffer.
struct store_buffers : scenario {
  model_word words[2];
  uint32_t seen[2] = {};

  void prepare() override {}
  void work(unsigned thread) override {
    words[thread].store(1, memory_order::release);
    between(thread);
    seen[thread] = words[1 - thread].load(memory_order::acquire);
  }
  void check() override { RL_ASSERT(seen[0] == 1 || seen[1] == 1); }
  virtual void between(unsigned) {}
};
const registration<store_buffers, 2> b1("machine/store_buffers", every_execution, barrier_kind::none,
                                        expectation::shows);

// With either form of the barrier, light on one side and heavy on the other, one of them sees it.
struct asymmetric_barrier : store_buffers {
  void between(unsigned thread) override {
    if (thread == 0) {
      light_barrier(RL_INFO);
    } else {
      heavy_barrier()();
    }
  }
};
const both_barriers<asymmetric_barrier, 2> b2("machine/asymmetric_barrier/fences", every_execution,
                                              "machine/asymmetric_barrier/interrupt", every_execution);

// Light on both sides is not enough where the light side is nothing: only the heavy side interrupts.
struct two_light_sides : store_buffers {
  void between(unsigned) override { light_barrier(RL_INFO); }
};
const registration<two_light_sides, 2> b3("machine/two_light_sides", every_execution, barrier_kind::interrupt,
                                          expectation::shows);

// Two stores to one word, both of them not visible yet although their CPU went on.
struct two_stores_wait : scenario {
  model_word word;
  bool stored = false;

  void prepare() override {}
  void work(unsigned thread) override {
    if (thread == 0) {
      word.store(1, memory_order::release);
      word.store(2, memory_order::release);
      stored = true;
    } else {
      const bool both = stored;
      const uint32_t value = word.load(memory_order::acquire);
      RL_ASSERT(!both || value != 0);
    }
  }
  void check() override {}
};
const registration<two_stores_wait, 2> b4("machine/two_stores_wait", every_execution, barrier_kind::none,
                                          expectation::shows);

// The clock orders nothing: who reads a later time may still miss what was stored before the earlier one was
// read; not even fences on both sides of the clock make it a message.
struct clock_is_no_message : scenario {
  model_word word;
  uint64_t time[2] = {};
  uint32_t seen = 0;

  void prepare() override {}
  void work(unsigned thread) override {
    if (thread == 0) {
      word.store(1, memory_order::release);
      time[0] = model_clock().now();
    } else {
      time[1] = model_clock().now();
      seen = word.load(memory_order::acquire);
    }
  }
  void check() override { RL_ASSERT(time[1] < time[0] || seen == 1); }
};
const registration<clock_is_no_message, 2> b5("machine/clock_is_no_message", every_execution,
                                              barrier_kind::none, expectation::shows);

// But it is never stale: of two reads, one after the other, the second shows more.
struct clock_is_not_stale : scenario {
  uint64_t last = 0;
  void prepare() override {}
  void work(unsigned) override {
    const uint64_t before = last;
    const uint64_t now = model_clock().now();
    RL_ASSERT(now > before);
    last = now;
  }
  void check() override { RL_ASSERT(last == 2); }
};
const registration<clock_is_not_stale, 2> b6("machine/clock_is_not_stale");

// Two words stored one after the other may become visible the other way round, unless the second is a release
// and its reader acquires.
template <memory_order store_order, memory_order load_order>
struct message : scenario {
  model_word data, flag;
  void prepare() override {}
  void work(unsigned thread) override {
    if (thread == 0) {
      data.store(1, memory_order::relaxed);
      flag.store(1, store_order);
    } else if (flag.load(load_order) == 1) {
      RL_ASSERT(data.load(memory_order::relaxed) == 1);
    }
  }
  void check() override {}
};
const registration<message<memory_order::release, memory_order::acquire>, 2> b7("machine/ordered_message");
const registration<message<memory_order::relaxed, memory_order::acquire>, 2> b8(
    "machine/message_without_release", every_execution, barrier_kind::none, expectation::shows);
const registration<message<memory_order::release, memory_order::relaxed>, 2> b9(
    "machine/message_without_acquire", every_execution, barrier_kind::none, expectation::shows);

}  // namespace
}  // namespace sluice::model
