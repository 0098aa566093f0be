// Overwrite mode, instruction by instruction: before each instruction of a producer that makes room over the oldest records, a
// reader and a copier of the ring come by, or another producer does. O1 to O3: pipeline/tail.h; C1, C2: pipeline/ring_copy.h.
#include <cstring>

#include "pipeline/ring_copy.h"
#include "tests/instruction/scenario.h"

using namespace sluice;
using namespace sluice::instruction;

namespace {

constexpr uint32_t copy_bytes_needed = max_loss_record;

// Where the producer that is stepped stands.
enum class stage : uint32_t { before, in_section, open, done };

// One CPU whose rings overwrite, what reads them, and nothing that points elsewhere: it can be kept and put back as it is.
struct recorder {
  alignas(region_page) uint8_t main_memory[region_bytes(main_geometry)];
  alignas(region_page) uint8_t spare_memory[region_bytes(spare_geometry)];
  alignas(8) uint8_t copy[copy_bytes_needed];
  uint64_t counter = 1000;
  producer_rings cpu;
  region_view<native_seam> main;
  ring_reader<native_seam> reader;

  // The operation that is stepped.
  bool reserves = false;
  uint32_t length = 8;  // of its payload
  uint8_t payload[1024];
  stage at = stage::before;
  reserve_status status = reserve_status::dropped;
  open_record<native_seam> open;

  uint64_t written = 0;    // numbers given to records that were accepted: 1, 2, ...
  uint64_t delivered = 0;  // to the reader
  uint64_t missed = 0;     // as it was told
  uint64_t held = 0;       // number of a record that stays open; 0: none
  open_record<native_seam> held_open;
};
static_assert(std::is_trivially_copyable_v<recorder>);

void fill(uint8_t* bytes, uint32_t length, uint64_t number) {
  std::memcpy(bytes, &number, sizeof number);
  for (uint32_t i = sizeof number; i < length; ++i) bytes[i] = static_cast<uint8_t>(number * 31 + i);
}
bool is_whole(const uint8_t* bytes, uint32_t length, uint64_t number) {
  uint8_t expected[1024];
  fill(expected, length, number);
  return std::memcmp(bytes, expected, length) == 0;
}

// What is stepped; the stages are its own, told by one store each.
__attribute__((noinline)) void stepped_overwrite(void* of) {
  recorder& mine = *static_cast<recorder*>(of);
  const auto reach = [&mine](stage next) {
    compiler_barrier();
    mine.at = next;
    compiler_barrier();
  };
  reach(stage::in_section);
  if (!mine.reserves) {
    mine.status = mine.cpu.write(ordinary_type, 1, mine.payload, mine.length);
    reach(stage::done);
    return;
  }
  mine.status = mine.cpu.reserve(ordinary_type, 1, mine.length, mine.open);
  if (mine.status == reserve_status::ok) {
    reach(stage::open);
    copy_bytes(mine.open.payload(), mine.payload, mine.length);
    mine.open.close(record_state::committed);
  }
  reach(stage::done);
}

class overwrite_steps {
 public:
  explicit overwrite_steps(uint32_t start) : now_(std::make_unique<recorder>()), kept_(std::make_unique<recorder>()) {
    recorder& r = *now_;
    const region_identity identity{1, 1, 0, lane_main, start};
    r.main = create_region(r.main_memory, main_geometry, identity, ring_mode::overwrite);
    const auto spare = create_region(r.spare_memory, spare_geometry, {1, 1, 0, lane_spare, start}, ring_mode::overwrite);
    r.cpu = producer_rings(tick_clock{&r.counter});
    r.cpu.attach(r.main, spare, uint64_t{1} << critical_type);
    r.reader.attach(r.main, native_seam::memory(r.copy));
  }

  bool write(uint32_t length) {
    uint8_t payload[1024];
    fill(payload, length, now_->written + 1);
    if (now_->cpu.write(ordinary_type, 1, payload, length) != reserve_status::ok) return false;
    ++now_->written;
    return true;
  }
  void hold(uint32_t length) {
    check(now_->cpu.reserve(ordinary_type, 1, length, now_->held_open) == reserve_status::ok, "an open record has room");
    now_->held = ++now_->written;
    fill(now_->held_open.payload(), length, now_->held);
  }

  // Steps one operation; everybody comes by before each of its instructions.
  uint64_t step(uint32_t length, bool reserves) {
    static stepper steps;
    recorder& r = *now_;
    r.reserves = reserves;
    r.length = length;
    r.at = stage::before;
    fill(r.payload, length, r.written + 1);
    const uint64_t boundaries = steps.run(stepped_overwrite, &r, [&] {
      if (failure_ != nullptr) return;
      const auto whole = [&](auto&& intervene) {
        if (failure_ != nullptr) return;
        std::memcpy(static_cast<void*>(kept_.get()), now_.get(), sizeof r);
        intervene();
        std::memcpy(static_cast<void*>(now_.get()), kept_.get(), sizeof r);
      };
      whole([&] {  // a reader before and after
        read_all();
        steps.run_the_rest();
        finish();
      });
      whole([&] {  // a reader that has looked, and copies when the producer is done
        const ring_head head = r.reader.look();
        steps.run_the_rest();
        if (is_final(head.state)) take(head);
        finish();
      });
      whole([&] {  // a copier
        (void)copy();
        steps.run_the_rest();
        finish();
        check(copy() == r.written, "C2: up to the last");
      });
      if (r.at != stage::open || is_closed(state_of(r.open.data.state(r.open.offset).load(memory_order::relaxed)))) return;
      whole([&] {  // another producer of this CPU, that comes round the ring
        const uint64_t mine = ++r.written;
        uint32_t accepted = 0;
        while (accepted < 400 && write(40)) ++accepted;
        check(accepted < 400, "O1: nobody overwrites an open record");
        read_all();
        steps.run_the_rest();
        check(is_whole(r.open.payload(), r.length, mine), "O1: it is there when it is closed");
        settle();
      });
    });
    if (failure_ == nullptr) finish();
    return boundaries;
  }
  const char* failure() const { return failure_; }
  recorder& now() { return *now_; }

 private:
  void check(bool holds, const char* what) {
    if (!holds && failure_ == nullptr) failure_ = what;
  }

  // True: something is gone on with.
  bool take(const ring_head& head) {
    recorder& r = *now_;
    record_view<native_seam> record;
    if (!r.reader.fetch(head, record)) return true;  // overtaken
    if (record.overwritten) {
      loss_payload loss;
      std::memcpy(&loss, record.payload(), sizeof loss);
      r.missed += loss.events;
    } else if (record.type() == ordinary_type) {
      ++r.delivered;
      check(is_whole(record.payload(), record.payload_length(), r.delivered + r.missed), "O2, O3: whole, and the one that is next");
    }
    r.reader.take(head);
    return true;
  }
  void read_all() {
    recorder& r = *now_;
    for (;;) {
      const ring_head head = r.reader.look();
      check(head.state != head_state::damaged, "the ring does not contradict itself");
      if (!is_final(head.state) || failure_ != nullptr) break;
      (void)take(head);
    }
    r.reader.release();
  }

  // The operation is over: the account, and everything that was accepted is delivered or announced.
  void finish() {
    recorder& r = *now_;
    if (r.status == reserve_status::ok) ++r.written;
    settle();
  }
  void settle() {
    recorder& r = *now_;
    if (r.held != 0) {
      check(is_whole(r.held_open.payload(), r.held_open.payload_length(), r.held), "O1: an open record is not written over");
      r.held_open.close(record_state::committed);
      r.held = 0;
    }
    read_all();
    check(r.delivered + r.missed == r.written, "O3: delivered + announced = committed");
    const auto where = r.cpu.where();
    check(where.written[lane_main] - where.reclaimed[lane_main] <= main_geometry.capacity, "R1");
  }

  // The number of the last record in the copy.
  uint64_t copy() {
    recorder& r = *now_;
    uint8_t* const records = records_;
    ring_copier<native_seam> copier(r.main);
    copier.copy(0, sizeof records_, [records](uint32_t offset) { return native_seam::memory(records + offset); }, piece_);
    check(piece_.status != ring_copy_status::damaged, "the ring does not contradict itself");
    if (piece_.status != ring_copy_status::ok) {  // the tail is on its way
      check(piece_.begin == piece_.end && r.at == stage::in_section, "a copy fails while the tail moves, and not otherwise");
      return 0;
    }
    uint64_t number = piece_.passed.committed[ordinary_type];
    const uint8_t* at = records + piece_.skipped;
    for (uint64_t left = piece_.end - piece_.begin; left != 0;) {
      record_header header;
      std::memcpy(&header, at, sizeof header);
      const uint32_t length = length_of(header.state_and_length);
      if (header.type == ordinary_type) {
        ++number;
        if (state_of(header.state_and_length) == record_state::committed) {
          check(is_whole(at + sizeof header, length - record_header_size, number), "C1, C2: whole, and the one that is next");
        }
      }
      at += record_stride(length);
      left -= record_stride(length);
    }
    return number;
  }

  std::unique_ptr<recorder> now_, kept_;
  ring_copier<native_seam>::piece piece_;
  alignas(8) uint8_t records_[2 * main_geometry.capacity];
  const char* failure_ = nullptr;
};

// A ring that is full, at several places of it, with records of the given length.
void sweep_overwriting(bool reserves, uint32_t in_the_ring, bool with_open_record) {
  uint64_t boundaries = 0;
  for (const uint32_t length : {8u, 40u, 500u}) {
    for (uint32_t turn = 0; turn < (long_run ? 40u : 6u); ++turn) {
      overwrite_steps steps(0u - 4096 - 8 * turn);
      for (int i = 0; i < 3; ++i) steps.write(in_the_ring);
      if (with_open_record) steps.hold(24);
      for (uint32_t i = 0; i < 120 + turn; ++i) steps.write(in_the_ring);
      boundaries += steps.step(length, reserves);
      ASSERT_EQ(steps.failure(), nullptr) << length << " bytes, turn " << turn << ": " << steps.failure();
      EXPECT_GT(steps.now().missed, 0u) << "something was overwritten";
    }
  }
  EXPECT_GT(boundaries, 1000u);
}

TEST(overwriting_at_every_instruction, written_at_once) {
  SLUICE_NEEDS_SINGLE_STEPS();
  sweep_overwriting(false, 40, false);
  sweep_overwriting(false, 200, false);
}

TEST(overwriting_at_every_instruction, reserved_filled_and_closed) {
  SLUICE_NEEDS_SINGLE_STEPS();
  sweep_overwriting(true, 40, false);
}

TEST(overwriting_at_every_instruction, an_open_record_in_the_way) {
  SLUICE_NEEDS_SINGLE_STEPS();
  sweep_overwriting(false, 40, true);
  sweep_overwriting(true, 40, true);
}

}  // namespace
