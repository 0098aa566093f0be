// Overwrite mode: a producer that overtakes its reader. pipeline/tail.h: O1 to O3.
#include "tests/model/model_merge.h"
#include "tests/model/model_ring.h"
#include "tests/model/scenario.h"

namespace sluice::model {
namespace {

// A ring of 64 bytes with two records of 24 in it; a third overwrites the first. The positions begin shortly before 2^32, so
// that the tail's low word wraps with its second move.
struct overwriting_ring {
  static constexpr uint32_t capacity = 64;
  static constexpr uint32_t start = 0u - 40;

  model_ring<capacity, 32, ring_mode::overwrite> memory;
  no_spare spare;
  model_storage<128> copy;
  cpu writer;
  reader from;
  received got;
  uint32_t committed = 0;

  void attach() {
    const region_view<model_seam> region = memory.view(0, lane_main, start);
    writer.attach(region, spare.view(), 0);
    from.attach(region, model_seam::memory(copy));
  }
  bool write(uint32_t number) {
    if (write_record(writer, number) != reserve_status::ok) return false;
    ++committed;
    return true;
  }
  // Takes what stands at the cursor. False: nothing is final.
  bool take() {
    const ring_head head = from.look();
    RL_ASSERT(head.state != head_state::damaged);
    if (!is_final(head.state)) return false;
    if (head.state != head_state::discarded) {
      record_view<model_seam> record;
      if (!from.fetch(head, record)) return true;  // overtaken
      RL_ASSERT(record.overwritten == (head.state == head_state::missed));
      RL_ASSERT(got.count == 0 || got.entries[got.count - 1].time <= record.time);  // R2, and LOSS at its place
      got.add(record);  // O2: whole, or an assertion fails there
    }
    from.take(head);
    from.release();
    return true;
  }
  // All threads are done: everything comes out, or is announced.
  void drain() {
    while (take()) {
    }
    uint32_t last = 0;
    uint32_t delivered = 0;
    for (uint32_t i = 0; i < got.count; ++i) {
      const received::entry& each = got.entries[i];
      if (each.type == record_type_loss) {
        last += each.lost;  // it stands for the numbers between
        continue;
      }
      RL_ASSERT(each.number == last + 1);
      last = each.number;
      ++delivered;
    }
    RL_ASSERT(delivered + got.lost() == committed);  // O3
    const cpu::positions at = writer.where();
    RL_ASSERT(at.written[lane_main] - at.reclaimed[lane_main] <= capacity);  // R1
    RL_ASSERT(writer.row(ordinary_type).overwritten >= got.lost());
  }
};

// Full when the threads begin; what they leave must come out or be announced.
struct full_ring : scenario, overwriting_ring {
  void prepare() override {
    attach();
    (void)write(1);
    (void)write(2);
  }
  void check() override { drain(); }
};

// O2: the reader copies the record that is being overwritten, or finds out.
struct overtaken_while_reading : full_ring {
  void work(unsigned thread) override {
    if (thread == 0) {
      RL_ASSERT(write(3));
    } else {
      (void)take();
      (void)take();
    }
  }
};
const registration<overtaken_while_reading, 2> o1("overwrite/overtaken_while_reading", 2);

// Two records more: the tail wraps at 2^32, and a reader that was overtaken can be overtaken again.
struct overtaken_twice : full_ring {
  void work(unsigned thread) override {
    if (thread == 0) {
      RL_ASSERT(write(3));
      RL_ASSERT(write(4));
    } else {
      (void)take();
    }
  }
};
const registration<overtaken_twice, 2> o2("overwrite/overtaken_twice", 1);

// The room is reserved, filled and committed step by step: the reader meets reserved and stamped headers of a new lap.
struct overtaken_by_a_reservation : full_ring {
  void work(unsigned thread) override {
    if (thread == 0) {
      record open{};
      RL_ASSERT(writer.reserve(ordinary_type, 1, 8, open) == reserve_status::ok);
      fill(open, 3);
      open.close(record_state::committed);
      ++committed;
    } else {
      for (int i = 0; i < 3; ++i) (void)take();
    }
  }
};
const registration<overtaken_by_a_reservation, 2> o3("overwrite/overtaken_by_a_reservation", 1);

// A reader at the end of a ring that is overtaken from there: the header it reads is of a record that was just written.
struct written_and_read : scenario, overwriting_ring {
  void prepare() override { attach(); }
  void work(unsigned thread) override {
    if (thread == 0) {
      RL_ASSERT(write(1));
      RL_ASSERT(write(2));
    } else {
      (void)take();
      (void)take();
    }
  }
  void check() override { drain(); }
};
const registration<written_and_read, 2> o4("overwrite/written_and_read", 3);

// O1: an open record at the tail, filled and closed by another thread. What finds no room is dropped; nobody writes to the
// record's room before it is closed (data race).
struct open_record_keeps_its_room : scenario, overwriting_ring {
  record open;
  void prepare() override {
    attach();
    RL_ASSERT(writer.reserve(ordinary_type, 1, 8, open) == reserve_status::ok);
    ++committed;
    (void)write(2);
  }
  void work(unsigned thread) override {
    if (thread == 0) {
      const bool written = write(3);
      const account_row& row = writer.row(ordinary_type);
      RL_ASSERT(written == (row.dropped_total() == 0));
      RL_ASSERT(written == (writer.where().reclaimed[lane_main] != start));
    } else {
      fill(open, 1);
      open.close(record_state::committed);
    }
  }
  void check() override { drain(); }
};
const registration<open_record_keeps_its_room, 2> o5("overwrite/open_record_keeps_its_room");

// The figures are those of one moment, or none: two moves of the tail while they are read.
struct figures_are_one : scenario {
  tail_figures<model_seam> figures;
  static constexpr uint32_t start = 0u - 16;
  static constexpr uint64_t counted = 0xffffffff;  // the count wraps as well

  void prepare() override {
    figures.tail[0].store(start, memory_order::relaxed);
    figures.committed[ordinary_type][0].store(static_cast<uint32_t>(counted), memory_order::relaxed);
  }
  void work(unsigned thread) override {
    if (thread == 0) {
      for (uint32_t i = 1; i <= 2; ++i) {
        tail_move<model_seam> move(figures);
        move.count(ordinary_type);
        move.finish(start + i * 24);
      }
    } else {
      tail_summary<model_seam> summary;
      if (!read_tail_figures(figures, summary)) return;
      const uint64_t moves = summary.committed[ordinary_type] - counted;
      RL_ASSERT(moves <= 2 && summary.tail == uint64_t{start} + moves * 24);
    }
  }
  void check() override {
    tail_summary<model_seam> summary;
    RL_ASSERT(read_tail_figures(figures, summary) && summary.committed[ordinary_type] == counted + 2);
  }
};
const registration<figures_are_one, 2> o6("overwrite/figures_are_one", 4);

// The tail alone, looked at behind a copy: the low word wraps.
struct tail_is_never_too_low : scenario {
  tail_figures<model_seam> figures;
  model_word byte;  // of the room that the move makes
  static constexpr uint32_t start = 0u - 16;

  void prepare() override { figures.tail[0].store(start, memory_order::relaxed); }
  void work(unsigned thread) override {
    if (thread == 0) {
      {
        tail_move<model_seam> move(figures);
        move.finish(start + 24);
      }
      byte.store(1, memory_order::relaxed);
    } else if (byte.load_racing() == 1) {
      RL_ASSERT(tail_is_past(figures, start));
    }
  }
  void check() override { RL_ASSERT(!tail_is_past(figures, uint64_t{start} + 24)); }
};
const registration<tail_is_never_too_low, 2> o7("overwrite/tail_is_never_too_low");

}  // namespace
}  // namespace sluice::model
