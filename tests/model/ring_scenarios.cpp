// One ring: reserve, commit, discard, reuse of the space, and the consumer's word in honest and in other
// hands.
#include "tests/model/model_ring.h"
#include "tests/model/scenario.h"

namespace sluice::model {
namespace {

// A ring of 64 bytes (two records of 24, and 16 bytes in which a third does not fit), a producer on thread 0
// and a reader. The positions begin shortly before 2^32, so that they wrap in the middle of it.
struct small_ring {
  static constexpr uint32_t capacity = 64;
  static constexpr uint32_t start = 0u - 40;

  model_ring<capacity, 32> memory;
  no_spare spare;
  cpu writer;
  reader from;
  received got;

  region_view<model_seam> region;

  void attach() {
    region = memory.view(0, lane_main, start);
    writer.attach(region, spare.view(), 0);
    from.attach(region);
  }
  record reserve() {
    record open;
    const reserve_status status = writer.reserve(ordinary_type, 1, 8, open);
    RL_ASSERT(status == reserve_status::ok);
    return open;
  }
  // Everything that is closed by now; all threads are done.
  void drain() {
    while (take_one(from, got)) from.release();
    check_producer(writer, capacity);
  }
};

// The shortest: records written at once, and read.
struct write_and_read : scenario, small_ring {
  void prepare() override { attach(); }
  void work(unsigned thread) override {
    if (thread == 0) {
      (void)write_record(writer, 1);
      (void)write_record(writer, 2);
    } else {
      (void)take_one(from, got);
      (void)take_one(from, got);
    }
  }
  void check() override {
    drain();
    got.check_once(1);
    got.check_once(2);
  }
};
const registration<write_and_read, 2> r1("ring/write_and_read");

// Reserved, filled, committed; another one discarded.
struct reserve_and_close : scenario, small_ring {
  void prepare() override { attach(); }
  void work(unsigned thread) override {
    if (thread == 0) {
      const record first = reserve();
      fill(first, 1);
      first.close(record_state::discarded);
      const record second = reserve();
      fill(second, 2);
      second.close(record_state::committed);
    } else {
      for (int i = 0; i < 2; ++i) (void)take_one(from, got);
    }
  }
  void check() override {
    drain();
    RL_ASSERT(got.count == 1);
    got.check_once(2);
  }
};
const registration<reserve_and_close, 2> r2("ring/reserve_and_close");

// Two reservations of one CPU are open; the second is committed first, or not, by another thread on another
// CPU.
struct commits_out_of_order : scenario, small_ring {
  record first, second;
  void prepare() override {
    attach();
    first = reserve();
    second = reserve();
  }
  void work(unsigned thread) override {
    if (thread == 2) {
      for (int i = 0; i < 2; ++i) {
        if (take_one(from, got)) from.release();
      }
      return;
    }
    const record& mine = thread == 0 ? first : second;
    fill(mine, thread + 1);
    mine.close(record_state::committed);
  }
  void check() override {
    drain();
    RL_ASSERT(got.count == 2 && got.entries[0].number == 1 && got.entries[1].number == 2);
  }
};
const registration<commits_out_of_order, 3> r3("ring/commits_out_of_order");

// The whole of it: reserved on one thread, handed over while open, committed there; a second record behind
// it.
struct commit_from_elsewhere : scenario, small_ring {
  record handed;
  rl::atomic<uint32_t> handed_over;
  void prepare() override {
    attach();
    handed_over.store(0, rl::mo_relaxed, RL_INFO);
  }
  void work(unsigned thread) override {
    if (thread == 0) {
      handed = reserve();
      handed_over.store(1, rl::mo_release, RL_INFO);
      const record second = reserve();
      fill(second, 2);
      second.close(record_state::committed);
    } else if (thread == 1) {
      if (handed_over.load(rl::mo_acquire, RL_INFO) == 0) return;  // it stays open: legal as well
      fill(handed, 1);
      handed.close(record_state::committed);
    } else {
      (void)take_one(from, got);
    }
  }
  void check() override {
    drain();
    // In order of the ring, and nothing behind an open record.
    RL_ASSERT(got.count == 0 || (got.count == 2 && got.entries[0].number == 1 && got.entries[1].number == 2));
  }
};
const registration<commit_from_elsewhere, 3> r4("ring/commit_from_elsewhere");

// The ring is full; its space is used again while the consumer reads and gives back. Record 2 runs into the apron, and the
// payload of record 3 ends where the header of record 1 stood.
struct reuse_after_a_lap : scenario, small_ring {
  uint32_t written = 2;
  void prepare() override {
    attach();
    (void)write_record(writer, 1);
    (void)write_record(writer, 2);
  }
  void work(unsigned thread) override {
    if (thread == 0) {
      if (write_record(writer, 3) == reserve_status::ok) ++written;
      check_producer(writer, capacity);
    } else {
      for (int i = 0; i < 2; ++i) {
        if (take_one(from, got)) from.release();
      }
    }
  }
  void check() override {
    drain();
    RL_ASSERT(got.count == written);
    for (uint32_t i = 0; i < got.count; ++i) RL_ASSERT(got.entries[i].number == i + 1);
  }
};
const registration<reuse_after_a_lap, 2> r5("ring/reuse_after_a_lap");

// An open record at the front is never reclaimed, whatever stands behind it; another thread is filling it.
struct open_record_keeps_its_room : scenario, small_ring {
  record open;
  void prepare() override {
    attach();
    open = reserve();
    (void)write_record(writer, 2);
  }
  void work(unsigned thread) override {
    if (thread == 0) {
      (void)write_record(writer, 3);
      check_producer(writer, capacity);
    } else if (thread == 1) {
      fill(open, 1);
      open.close(record_state::committed);
    } else {
      for (int i = 0; i < 2; ++i) {
        if (take_one(from, got)) from.release();
      }
    }
  }
  void check() override {
    drain();
    got.check_once(1);
    got.check_once(2);
  }
};
const registration<open_record_keeps_its_room, 3> r6("ring/open_record_keeps_its_room", 3);

// R5. Somebody writes what he likes to the consumer's word, without any order, while another thread fills an
// open record. The producer never writes to that record's room (data race), and once the claim cannot be
// landed on it is counted.
struct hostile_consumer : scenario, small_ring {
  record open;
  void prepare() override {
    attach();
    open = reserve();
    (void)write_record(writer, 2);
  }
  void work(unsigned thread) override {
    if (thread == 0) {
      (void)write_record(writer, 3);
      check_producer(writer, capacity, false);
      // The first record was given back only if it was closed.
      if (writer.where().reclaimed[lane_main] != start) RL_ASSERT(writer.row(ordinary_type).committed >= 1);
    } else if (thread == 1) {
      fill(open, 1);
      open.close(record_state::committed);
    } else {
      static constexpr uint32_t claims[] = {24, 48, 32, 72, 0u - 24};
      const uint32_t claim = claims[rl::rand(sizeof claims / sizeof *claims)];
      memory.consumer.consumed.store(start + claim, memory_order::relaxed);
    }
  }
  void check() override {
    const uint32_t claimed = memory.consumer.consumed.load(memory_order::relaxed) - start;
    (void)writer.settle();
    (void)writer.settle();
    check_producer(writer, capacity, false);
    const bool on_a_record = claimed == 0 || claimed == 24 || claimed == 48 ||
                             (claimed == 72 && writer.row(ordinary_type).dropped_total() == 0);
    // A claim that is the end of a record is a violation as well, if that record was open when the producer
    // looked.
    RL_ASSERT(on_a_record || writer.violations() != 0);
  }
};
const registration<hostile_consumer, 3> r7("ring/hostile_consumer");

// R5, after a lap: behind the write position stands a closed record's header, left by the lap before. A claim that reaches
// into it must not be walked: room would be given back that was not even used yet.
struct hostile_after_a_lap : scenario, small_ring {
  static constexpr uint32_t payload = 16;  // two records are the capacity: headers stand where headers stood
  void prepare() override {
    attach();
    (void)write_record(writer, 1, payload);
    (void)write_record(writer, 2, payload);
    for (int i = 0; i < 2; ++i) {
      if (take_one(from, got)) from.release();
    }
    (void)writer.settle();
  }
  void work(unsigned thread) override {
    if (thread == 0) {
      (void)write_record(writer, 3, payload);
      (void)writer.settle();
      check_producer(writer, capacity, false);
    } else {
      static constexpr uint32_t claims[] = {96, 128, 160, 80, 32};  // record 3 ends at 96
      memory.consumer.consumed.store(start + claims[rl::rand(sizeof claims / sizeof *claims)], memory_order::relaxed);
    }
  }
  void check() override {
    const uint32_t claimed = memory.consumer.consumed.load(memory_order::relaxed) - start;
    (void)writer.settle();
    check_producer(writer, capacity, false);
    RL_ASSERT(claimed == 96 || writer.violations() != 0);
  }
};
const registration<hostile_after_a_lap, 2> r9("ring/hostile_after_a_lap");

// R3: who counts what is open walks the headers, between two positions that the CPU told, while others close records.
struct walk_while_open : scenario, small_ring {
  record open;
  rl::atomic<uint32_t> told;
  uint32_t end = 0;
  void prepare() override {
    attach();
    told.store(0, rl::mo_relaxed, RL_INFO);
    open = reserve();
  }
  void work(unsigned thread) override {
    if (thread == 0) {
      const record second = reserve();
      end = writer.where().written[lane_main];
      told.store(1, rl::mo_release, RL_INFO);
      fill(second, 2);
      second.close(record_state::committed);
    } else if (thread == 1) {
      fill(open, 1);
      open.close(record_state::discarded);
    } else if (told.load(rl::mo_acquire, RL_INFO) != 0) {
      reader walker;
      walker.attach(region);
      uint32_t seen = 0;
      uint64_t last = 0;
      const bool whole = walker.walk(start, end, [&](uint16_t type, const ring_head& head) {
        RL_ASSERT(type == ordinary_type);
        RL_ASSERT(head.state != head_state::reserved);  // the section is over
        RL_ASSERT(head.time > last);
        last = head.time;
        ++seen;
      });
      RL_ASSERT(whole && seen == 2);
    }
  }
  void check() override {
    drain();
    got.check_once(2);
  }
};
const registration<walk_while_open, 3> r10("ring/walk_while_open", 3);

// A record that was set aside keeps its room until it is closed and delivered.
struct set_aside_keeps_its_room : scenario, small_ring {
  record open;
  void prepare() override {
    attach();
    open = reserve();
    (void)write_record(writer, 2);
  }
  void work(unsigned thread) override {
    if (thread == 0) {
      (void)write_record(writer, 3);
      check_producer(writer, capacity);
    } else if (thread == 1) {
      fill(open, 1);
      open.close(record_state::committed);
    } else {
      const ring_head head = from.look();
      if (head.state == head_state::stamped) from.set_aside(head);
      if (take_one(from, got)) from.release();
      take_late();
      from.release();
    }
  }
  void take_late() {
    (void)from.take_late([this](const record_view<model_seam>& late) {
      RL_ASSERT(late.late);
      got.add(late);
      return true;
    });
  }
  void check() override {
    take_late();
    drain();
    got.check_once(1);
    got.check_once(2);
  }
};
const registration<set_aside_keeps_its_room, 3> r8("ring/set_aside_keeps_its_room", 3);

}  // namespace
}  // namespace sluice::model
