// R5: the kernel's side never depends on what a client can write, except the consumer's position, which bounds a walk over
// headers that the kernel wrote. Every wrong claim is refused, counted, and ends all reclaiming; nothing is written and
// nothing is parsed where it points; an honest consumer is never flagged.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "tests/pipeline/support.h"

using namespace sluice;
using namespace sluice::test;

namespace {

// A ring with records of 16 to 112 bytes, one of them open, and what lies where.
struct hostile_case : testing::Test {
  manual_time time{1, 1, {}};
  test_cpu cpu{manual_clock{&time}, [] {
                 cpu_options options;
                 options.start_position = 0xfffffe00u;  // the claims wrap as well
                 return options;
               }()};
  std::vector<uint32_t> ends;  // after each record
  record held{};
  uint32_t held_at = 0;

  void SetUp() override {
    for (uint32_t i = 0; i < 12; ++i) {
      if (i == 7) {
        held_at = cpu.main.published();
        ASSERT_EQ(cpu.reserve(held, 40), reserve_status::ok);
      } else {
        ASSERT_EQ(cpu.write(i, 8 + i * 8), reserve_status::ok);
      }
      ends.push_back(cpu.main.published());
    }
  }

  std::vector<uint8_t> contents() const {
    const uint8_t* base = cpu.main.view.data.bytes(0);
    return {base, base + small_main.capacity + small_main.max_record};
  }
  void settle() {
    for (uint32_t i = 0; i < 100 && !cpu.rings.settle(); ++i) {
    }
  }

  // The claim is refused: counted once, nothing beyond `may_reach` given back, no byte changed, and no later claim, be it
  // honest, is believed.
  void expect_violation(uint32_t claim, uint32_t may_reach) {
    const std::vector<uint8_t> before = contents();
    const uint32_t published = cpu.main.published();
    cpu.main.claim(claim);
    settle();
    EXPECT_EQ(cpu.rings.violations(), 1u);
    const uint32_t start = cpu.main.view.start_position;
    const uint32_t reached = cpu.rings.where().reclaimed[lane_main];
    EXPECT_LE(reached - start, may_reach - start);
    EXPECT_EQ(contents(), before);
    EXPECT_EQ(cpu.main.published(), published);

    held.close(record_state::committed);
    cpu.main.claim(ends.back());
    settle();
    EXPECT_EQ(cpu.rings.where().reclaimed[lane_main], reached) << "nothing is reclaimed after a violation";
    EXPECT_EQ(cpu.rings.violations(), 1u);
    while (cpu.write(1, 100) == reserve_status::ok) {
    }
    EXPECT_EQ(cpu.rings.row(ordinary_type).dropped[static_cast<uint32_t>(drop_reason::violation)], 1u);
    EXPECT_EQ(cpu.rings.where().reclaimed[lane_main], reached);
    EXPECT_EQ(cpu.write(1, 8, critical_type), reserve_status::ok) << "critical events still get through";
    EXPECT_TRUE(cpu.account(ordinary_type).balances());
  }
};

}  // namespace

TEST_F(hostile_case, r5_a_claim_ahead_of_what_was_written_is_refused) {
  expect_violation(ends.back() + 8, cpu.main.view.start_position);
}
TEST_F(hostile_case, r5_a_claim_a_whole_ring_ahead_is_refused) {
  expect_violation(cpu.main.view.start_position + small_main.capacity, cpu.main.view.start_position);
}
TEST_F(hostile_case, r5_a_claim_behind_what_was_reclaimed_is_refused) {
  cpu.main.claim(ends[3]);
  settle();
  ASSERT_EQ(cpu.rings.violations(), 0u);
  expect_violation(ends[2], ends[3]);
}
TEST_F(hostile_case, r5_a_claim_far_behind_is_refused) {
  expect_violation(cpu.main.view.start_position - 8, cpu.main.view.start_position);
}
TEST_F(hostile_case, r5_a_misaligned_claim_is_refused) { expect_violation(ends[3] + 1, ends[3]); }
TEST_F(hostile_case, r5_a_claim_inside_a_record_is_refused) { expect_violation(ends[4] + 8, ends[4]); }
TEST_F(hostile_case, r5_a_claim_inside_the_first_record_is_refused) {
  expect_violation(cpu.main.view.start_position + 8, cpu.main.view.start_position);
}
TEST_F(hostile_case, r5_a_claim_past_an_open_record_is_refused) { expect_violation(ends[7], held_at); }
TEST_F(hostile_case, r5_a_claim_far_past_an_open_record_is_refused) { expect_violation(ends.back(), held_at); }
TEST_F(hostile_case, r5_a_claim_inside_an_open_record_is_refused) { expect_violation(held_at + 16, held_at); }

// Inside a payload that looks like a header: the claim must not be where parsing goes on.
TEST_F(hostile_case, r5_a_claim_at_a_forged_header_inside_a_payload_is_refused) {
  std::vector<uint8_t> payload(64);
  const record_header forged{make_state_and_length(record_state::committed, 48), ordinary_type, 1, 0, 0, 0};
  std::memcpy(payload.data() + 16, &forged, sizeof forged);
  const uint32_t at = cpu.main.published();
  ASSERT_EQ(cpu.rings.write(ordinary_type, 1, payload.data(), 64), reserve_status::ok);
  ends.push_back(cpu.main.published());
  held.close(record_state::committed);
  expect_violation(at + record_header_size + 16, at);
}

TEST_F(hostile_case, r5_a_claim_on_a_record_boundary_that_is_closed_is_believed) {
  cpu.main.claim(ends[6]);
  settle();
  EXPECT_EQ(cpu.rings.violations(), 0u);
  EXPECT_EQ(cpu.rings.where().reclaimed[lane_main], ends[6]);
  EXPECT_EQ(ends[6], held_at);
}

// A claim may be honest with regard to one lane and hostile in the other: each lane is judged alone, both are counted.
TEST_F(hostile_case, r5_the_spare_lane_is_guarded_as_well) {
  cpu.spare.claim(cpu.main.view.start_position + 8);
  settle();
  EXPECT_EQ(cpu.rings.violations(), 1u);
  cpu.main.claim(ends[2] + 4);
  settle();
  EXPECT_EQ(cpu.rings.violations(), 2u);
}

// Words of the consumer page other than the claim mean nothing.
TEST_F(hostile_case, r5_the_rest_of_the_consumer_page_means_nothing) {
  uint8_t* const page = reinterpret_cast<uint8_t*>(cpu.main.view.consumer);
  std::memset(page + sizeof(atomic_word), 0xff, region_page - sizeof(atomic_word));
  cpu.main.claim(ends[6]);
  settle();
  EXPECT_EQ(cpu.rings.violations(), 0u);
}

namespace {

// A seam whose words tell when they are loaded: what a client does between two readings becomes an ordinary test.
struct watched_word : atomic_word {
  static inline const watched_word* watched = nullptr;
  static inline uint32_t loads = 0;
  static inline uint32_t value_after_first_load = 0;

  uint32_t load(memory_order order) const {
    const uint32_t value = atomic_word::load(order);
    if (this == watched && ++loads == 1) {
      const_cast<watched_word*>(this)->store(value_after_first_load, memory_order::relaxed);
    }
    return value;
  }
};
struct watched_seam {
  using word = watched_word;
  static constexpr uint32_t types = max_record_types;
  struct memory : native_seam::memory {
    memory() = default;
    explicit memory(const native_seam::memory& plain) : native_seam::memory(plain) {}
    word& state(uint32_t offset) const { return static_cast<word&>(native_seam::memory::state(offset)); }
  };
  static void light_barrier() {}
  static void fence(memory_order) {}
};
static_assert(sizeof(producer_page<watched_seam>) == sizeof(producer_page<native_seam>));

}  // namespace

// R5: the claim is read once per reclaim. A client that changes it after that reading changes nothing.
TEST(hostile_consumer, r5_the_claim_is_read_once) {
  for (uint32_t changed_to : {4u, 8u, 4000u, 24u, 0xfffffff8u}) {
    const lane memory(small_main, 0, lane_main, 0);
    region_view<watched_seam> view;
    view.producer = reinterpret_cast<producer_page<watched_seam>*>(memory.view.producer);
    view.consumer = reinterpret_cast<consumer_page<watched_seam>*>(memory.view.consumer);
    view.data = watched_seam::memory(memory.view.data);
    view.geometry = small_main;
    ring<watched_seam> ring;
    ledger<watched_seam> account;
    ring.attach(view);
    account.attach(&view.producer->loss);
    open_record<watched_seam> open;
    open_record<watched_seam> loss;
    for (uint32_t i = 0; i < 10; ++i) {
      ASSERT_TRUE(ring.place({24, ordinary_type, 1, false}, account, open, loss));
      ring.publish();
      ring.stamp(open, 1);
      open.close(record_state::committed);
    }
    memory.claim(5 * 24);
    watched_word::watched = &view.consumer->consumed;
    watched_word::loads = 0;
    watched_word::value_after_first_load = changed_to;
    EXPECT_TRUE(ring.reclaim_some(account)) << "all that was claimed at the reading is given back";
    EXPECT_EQ(watched_word::loads, 1u);
    EXPECT_EQ(ring.reclaimed_position(), 5 * 24u);
    EXPECT_EQ(ring.violations(), 0u);
    watched_word::watched = nullptr;
  }
}

// Any value at any time: the kernel neither crashes nor writes outside, keeps R1 and R3, and what it gives back is a prefix
// of closed records.
TEST(hostile_consumer, r5_random_claims_never_break_the_kernels_invariants) {
  std::mt19937_64 random(3);
  uint64_t violations = 0;
  for (uint32_t round = 0; round < 400; ++round) {
    manual_time time{1, 1, {}};
    cpu_options options;
    options.start_position = static_cast<uint32_t>(random()) & ~7u;
    test_cpu cpu(manual_clock{&time}, options);
    std::vector<uint32_t> boundaries{options.start_position};
    std::vector<record> open;
    for (uint32_t step = 0; step < 60; ++step) {
      const uint32_t length = 8 + static_cast<uint32_t>(random() % 300);
      if (random() % 4 == 0) {
        record each;
        if (cpu.reserve(each, length) == reserve_status::ok) open.push_back(each);
      } else {
        (void)cpu.write(step, length);
      }
      if (!open.empty() && random() % 3 == 0) {
        open.back().close(record_state::discarded);
        open.pop_back();
      }
      boundaries.push_back(cpu.main.published());
      switch (random() % 8) {
        case 0: cpu.main.claim(static_cast<uint32_t>(random())); break;
        case 1: cpu.main.claim(boundaries[random() % boundaries.size()] + static_cast<uint32_t>(random() % 9)); break;
        case 2: cpu.main.claim(boundaries[random() % boundaries.size()]); break;
        default: break;
      }
      const auto where = cpu.rings.where();
      ASSERT_LE(where.written[0] - where.reclaimed[0], small_main.capacity);
      if (!open.empty()) {
        // R1: an open record is never given back.
        const uint32_t mask = small_main.capacity - 1;
        for (const record& each : open) {
          ASSERT_LT((each.offset - where.reclaimed[0]) & mask, where.written[0] - where.reclaimed[0]);
        }
      }
    }
    violations += cpu.rings.violations();
    ASSERT_LE(cpu.rings.violations(), 1u);
    ASSERT_TRUE(cpu.account(ordinary_type).balances());
  }
  EXPECT_GT(violations, 200u) << "the test did send wrong claims";
}

// The claim changes while the kernel walks: a client that writes garbage and boundaries as fast as it can. Whatever the
// kernel reads, it reads once; invariants hold and the kernel's calls return.
TEST(hostile_consumer, r5_a_claim_that_changes_during_the_walk_does_no_harm) {
  manual_time time{1, 1, {}};
  std::mt19937_64 random(4);
  uint64_t violations = 0;
  // On, on a busy machine, until the producer has met a claim that lies inside a record.
  for (uint32_t round = 0; round < 150 || (violations == 0 && round < 5000); ++round) {
    test_cpu cpu(manual_clock{&time});
    std::vector<uint32_t> boundaries{0};
    record held{};
    for (uint32_t i = 0; i < 120; ++i) {
      if (i == 100) {
        ASSERT_EQ(cpu.reserve(held, 8), reserve_status::ok);
      } else {
        ASSERT_EQ(cpu.write(i, 8), reserve_status::ok);
      }
      boundaries.push_back(cpu.main.published());
    }
    std::atomic<bool> started{false};
    std::jthread client([&, seed = random()](const std::stop_token& stop) {
      std::mt19937 pick(static_cast<uint32_t>(seed));
      while (!stop.stop_requested()) {
        cpu.main.claim(boundaries[pick() % 100]);
        cpu.main.claim(boundaries[pick() % 100] + (pick() % 200 == 0 ? 4 : 0));
        started.store(true, std::memory_order_relaxed);
      }
    });
    while (!started.load(std::memory_order_relaxed)) std::this_thread::yield();
    for (uint32_t i = 0; i < 100; ++i) {
      (void)cpu.rings.settle();
      (void)cpu.write(i, 100);
      const auto where = cpu.rings.where();
      ASSERT_LE(where.reclaimed[0], boundaries[100]) << "never past the open record";
      ASSERT_LE(where.written[0] - where.reclaimed[0], small_main.capacity);
    }
    client.request_stop();
    client.join();
    violations += cpu.rings.violations();
    ASSERT_EQ(state_of(cpu.main.header_at(boundaries[100]).state_and_length), record_state::stamped);
    ASSERT_TRUE(cpu.account(ordinary_type).balances());
  }
  EXPECT_GT(violations, 0u);
}

// An honest consumer that races with the producer is never flagged, whichever way the two interleave.
TEST(hostile_consumer, r5_an_honest_concurrent_consumer_is_never_flagged) {
  manual_time time{1, 1, {}};
  test_cpu cpu(manual_clock{&time});
  std::atomic<bool> stop{false};
  uint64_t taken = 0;
  std::thread consumer([&] {
    reader from;
    from.attach(cpu.main.view);
    std::mt19937 random(5);
    const auto take_all = [&] {
      for (ring_head head = from.look(); head.state == head_state::committed || head.state == head_state::discarded;
           head = from.look()) {
        taken += head.state == head_state::committed;
        from.take(head);
        if (random() % 8 == 0) from.release();
      }
      from.release();
    };
    while (!stop.load(std::memory_order_acquire)) {
      take_all();
      if (random() % 4 == 0) std::this_thread::yield();
    }
    take_all();
  });
  std::mt19937 random(6);
  std::vector<record> open;
  uint64_t committed = 0;
  for (uint32_t i = 0; i < 300000; ++i) {
    record each;
    if (cpu.reserve(each, 8 + random() % 64) == reserve_status::ok) open.push_back(each);
    if (open.size() > random() % 6) {
      const size_t which = random() % open.size();
      const bool commit = random() % 5 != 0;
      committed += commit;
      open[which].close(commit ? record_state::committed : record_state::discarded);
      open[which] = open.back();
      open.pop_back();
    }
    if (i % 64 == 0) (void)cpu.rings.settle();
  }
  for (const record& each : open) each.close(record_state::discarded);
  stop.store(true, std::memory_order_release);
  consumer.join();
  EXPECT_EQ(cpu.rings.violations(), 0u);
  const account_row row = cpu.account(ordinary_type);
  const account_row loss = cpu.account(record_type_loss);
  EXPECT_EQ(row.committed, committed);
  EXPECT_EQ(row.committed + loss.committed, taken);
  EXPECT_EQ(row.open, 0u);
  EXPECT_TRUE(row.balances());
}
