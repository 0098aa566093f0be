// What a full ring drops: announced in the stream, and published as figures that another thread reads as one.
#include "tests/model/model_ring.h"
#include "tests/model/scenario.h"

namespace sluice::model {
namespace {

// The ledger alone, with as few types as show the thing: every word costs the search a step on each side.
struct narrow_seam : model_seam {
  static constexpr uint32_t types = 2;
};

// A drop while another thread reads the figures of the one before. Times change in both of their words.
template <int readings, int drops = 1>
struct figures_are_one : scenario {
  loss_figures<narrow_seam> figures;
  ledger<narrow_seam> book;
  static constexpr uint64_t first_time = 0x1'00000001;
  static constexpr uint64_t second_time = 0x2'00000002;

  void prepare() override {
    book.attach(&figures);
    book.drop(1, drop_reason::ring_full, 10, first_time);
  }
  void work(unsigned thread) override {
    if (thread == 0) {
      for (uint32_t i = 0; i < drops; ++i) book.drop(1, drop_reason::ring_full, 20, second_time << i);
      return;
    }
    for (int i = 0; i < readings; ++i) read();
  }
  void check() override {
    loss_summary seen;
    const bool whole = read_loss_figures<narrow_seam>(figures, seen);
    RL_ASSERT(whole && seen.events == drops + 1);
    check_one(seen);
  }

 private:
  void read() {
    loss_summary seen;
    if (read_loss_figures<narrow_seam>(figures, seen)) check_one(seen);
  }
  // Every figure is of one moment.
  static void check_one(const loss_summary& seen) {
    RL_ASSERT(seen.events >= 1 && seen.events <= drops + 1);
    const uint32_t later = static_cast<uint32_t>(seen.events) - 1;
    RL_ASSERT(seen.first_time == first_time && seen.last_time == (later == 0 ? first_time : second_time << (later - 1)));
    RL_ASSERT(seen.bytes == 10 + 20 * later && seen.dropped[1] == later + 1);
  }
};
const registration<figures_are_one<1>, 2> l1("loss/figures_are_one", 3);
// The figures move on twice: what was read in between may be of three moments.
const registration<figures_are_one<1, 2>, 2> l3("loss/figures_of_three_drops", 2);

// The ring is full with one long record. What is written then is dropped, or finds the room that the consumer
// has given back; after a drop a LOSS record stands in front of the next success; a drop that nothing follows
// is in the figures (R4). At rest every row balances (R3).
template <uint32_t first, uint32_t second>  // payload bytes
struct announced : scenario {
  static constexpr uint32_t capacity = 128;
  model_ring<capacity, 120> memory;
  no_spare spare;
  cpu writer;
  reader from;
  received got;
  uint32_t dropped = 0;

  void prepare() override {
    const region_view<model_seam> view = memory.view();
    writer.attach(view, spare.view(), 0);
    from.attach(view);
    (void)write_record(writer, 1, first);
  }
  void work(unsigned thread) override {
    if (thread == 0) {
      for (uint32_t number = 2; number <= 3; ++number) {
        dropped += write_record(writer, number, number == 2 ? second : 8) == reserve_status::dropped;
        check_producer(writer, capacity);
      }
    } else {
      for (int i = 0; i < 2; ++i) {
        if (take_one(from, got)) from.release();
      }
    }
  }
  void check() override {
    while (take_one(from, got)) from.release();
    uint32_t number = 0;  // of the last event accounted for
    uint32_t told = 0;
    for (uint32_t i = 0; i < got.count; ++i) {
      if (got.entries[i].type == record_type_loss) {
        number += got.entries[i].lost;
        told += got.entries[i].lost;
        RL_ASSERT(got.entries[i].lost != 0);
      } else {
        RL_ASSERT(got.entries[i].number == ++number);  // R4: no gap but what was announced right here
      }
    }
    loss_summary figures;
    const bool whole = read_loss_figures<model_seam>(from.loss(), figures);
    RL_ASSERT(whole && figures.events == dropped && figures.dropped[ordinary_type] == dropped);
    number += static_cast<uint32_t>(figures.events) - told;
    RL_ASSERT(number == 3);
    while (!writer.settle()) {
    }
    for (uint32_t type = 0; type < model_seam::types; ++type) RL_ASSERT(writer.row(type).balances());
    RL_ASSERT(writer.row(ordinary_type).attempted == 3 && writer.row(ordinary_type).committed == 3 - dropped);
  }
};
const registration<announced<104, 8>, 2> l2("loss/announced_in_the_stream");

// The same way in, by reservation: LOSS and a record that is still open become visible together.
struct announced_before_a_reservation : scenario {
  static constexpr uint32_t capacity = 128;
  model_ring<capacity, 120> memory;
  no_spare spare;
  cpu writer;
  reader from;
  received got;
  bool reserved = false;

  void prepare() override {
    const region_view<model_seam> view = memory.view();
    writer.attach(view, spare.view(), 0);
    from.attach(view);
    (void)write_record(writer, 1, 104);
    (void)write_record(writer, 2);  // finds no room
  }
  void work(unsigned thread) override {
    if (thread == 0) {
      record open;
      reserved = writer.reserve(ordinary_type, 1, 8, open) == reserve_status::ok;
      check_producer(writer, capacity);
      if (!reserved) return;
      fill(open, 3);
      open.close(record_state::committed);
    } else {
      for (int i = 0; i < 3; ++i) {
        if (take_one(from, got)) from.release();
      }
    }
  }
  void check() override {
    while (take_one(from, got)) from.release();
    RL_ASSERT(got.count == (reserved ? 3u : 1u) && got.entries[0].number == 1);
    if (reserved) {
      RL_ASSERT(got.entries[1].type == record_type_loss && got.entries[1].lost == 1);
      RL_ASSERT(got.entries[2].number == 3 && got.entries[2].time == got.entries[1].time);
    }
    loss_summary figures;
    const bool whole = read_loss_figures<model_seam>(from.loss(), figures);
    RL_ASSERT(whole && figures.events == (reserved ? 1u : 2u));
  }
};
const registration<announced_before_a_reservation, 2> l4("loss/announced_before_a_reservation");

// A long event is dropped while there is room for the short one behind it, but not for the announcement as well.
const registration<announced<40, 104>, 2> l5("loss/announced_while_there_is_room");

}  // namespace
}  // namespace sluice::model
