// A ring that is copied while it is written to. pipeline/ring_copy.h: C1 and C2.
#include "pipeline/ring_copy.h"
#include "tests/model/model_ring.h"
#include "tests/model/scenario.h"

namespace sluice::model {
namespace {

// A ring of 64 bytes. Raced in both modes: a copier looks at records that are open.
template <ring_mode mode, uint32_t stride_of_records, uint32_t start_position>
struct copied_ring {
  static constexpr uint32_t capacity = 64;
  static constexpr uint32_t stride = stride_of_records;
  static constexpr uint32_t start = start_position;
  static constexpr uint32_t most = 3;  // records in a piece

  producer_page<model_seam> producer;
  consumer_page<model_seam> consumer;
  model_storage<capacity + 32, true> storage;
  no_spare spare;
  model_storage<32> copied[most];
  cpu writer;
  region_view<model_seam> region;
  uint32_t written = 0;
  uint64_t last_time = 0;
  uint32_t disguised = 0;  // the number of the record whose payload looks like a header
  static constexpr uint32_t disguise[] = {make_state_and_length(record_state::committed, 32), 0};

  void attach() {
    region.producer = &producer;
    region.consumer = &consumer;
    region.data = model_seam::memory(storage);
    region.geometry = {capacity, 32, 0};
    region.start_position = start;
    region.mode = mode;
    producer.published.store(start, memory_order::relaxed);
    consumer.consumed.store(start, memory_order::relaxed);
    producer.tail.tail[0].store(start, memory_order::relaxed);
    writer.attach(region, spare.view(), 0);
  }
  void write() { RL_ASSERT(write_record(writer, ++written, stride - record_header_size) == reserve_status::ok); }

  using copier = ring_copier<model_seam>;
  copier::piece piece;
  auto places() {
    return [this](uint32_t offset) {
      RL_ASSERT(offset % stride == 0 && offset / stride < most);
      return model_seam::memory(copied[offset / stride]);
    };
  }
  // C1: whole records, each with its own number.
  void check_piece(const copier::piece& what) {
    RL_ASSERT(what.status != ring_copy_status::damaged);
    RL_ASSERT(what.status == ring_copy_status::ok || what.begin == what.end);
    if (what.status == ring_copy_status::overtaken) return;
    RL_ASSERT((what.begin - start) % stride == 0 && (what.end - start) % stride == 0 && what.begin <= what.end);
    for (uint64_t at = what.begin; at != what.end; at += stride) {
      model_seam::memory record(copied[(at - what.begin + what.skipped) / stride]);
      const uint32_t number = static_cast<uint32_t>((at - start) / stride) + 1;
      const uint32_t word = record.load(0);
      RL_ASSERT(length_of(word) == stride && (record.load(4) & 0xffff) == ordinary_type);
      if (state_of(word) == record_state::reserved) continue;
      const uint64_t time = record.load_time(8);
      RL_ASSERT(time != 0 && time >= last_time);  // R2
      last_time = time;
      if (state_of(word) != record_state::committed) continue;
      for (uint32_t i = record_header_size; i < stride; i += 4) {
        RL_ASSERT(record.load(i) == (number == disguised ? disguise[i / 4 % 2] : payload_of(number)));
      }
    }
  }
  // C2: what the figures of a first piece count is what stood before it.
  void check_first(const copier::piece& what) {
    check_piece(what);
    if (what.status != ring_copy_status::ok) return;
    RL_ASSERT(what.passed.tail == what.begin);
    RL_ASSERT(what.passed.committed[ordinary_type] == (what.begin - start) / stride);
  }
};

// Two records fill the ring; a third takes the place of the first, and the tail's low word wraps with that.
using two_records = copied_ring<ring_mode::overwrite, 32, 0u - 32>;

struct full_ring : scenario, two_records {
  void prepare() override {
    attach();
    write();
    write();
  }
};

// The copy meets the record that is being overwritten.
struct overwritten_while_copied : full_ring {
  void work(unsigned thread) override {
    if (thread == 0) {
      write();
    } else {
      copier by(region);
      by.copy(0, most * stride, places(), piece);
      check_first(piece);
    }
  }
  void check() override {}
};
const registration<overwritten_while_copied, 2> c1("ring_copy/overwritten_while_copied", 1);

// Piece by piece, a record each.
struct overwritten_between_pieces : full_ring {
  void work(unsigned thread) override {
    if (thread == 0) {
      write();
      write();
    } else {
      copier by(region);
      by.copy(0, stride, places(), piece);
      check_first(piece);
      if (piece.status != ring_copy_status::ok || piece.end == piece.until) return;
      const uint64_t expected = piece.end;
      by.copy_more(piece.end, piece.until, stride, places(), piece);
      if (piece.begin == expected) {
        check_piece(piece);
      } else {
        check_first(piece);
      }
    }
  }
  void check() override {}
};
const registration<overwritten_between_pieces, 2> c2("ring_copy/overwritten_between_pieces", 0);

// Records that do not stand where those of the lap before stood: a payload that looks like a header of 32 bytes comes over
// the header of the second record.
struct payload_over_a_header : scenario, copied_ring<ring_mode::overwrite, 24, 0> {
  void prepare() override {
    attach();
    for (int i = 0; i < 3; ++i) write();
    disguised = 4;
  }
  void work(unsigned thread) override {
    if (thread == 0) {
      RL_ASSERT(writer.write(ordinary_type, 1, disguise, sizeof disguise) == reserve_status::ok);
    } else {
      copier by(region);
      // Where the walk is led astray, the copy is too.
      by.copy(0, most * stride, [this](uint32_t at) { return model_seam::memory(copied[at / stride % most]); }, piece);
      check_first(piece);
    }
  }
  void check() override {}
};
const registration<payload_over_a_header, 2> c3("ring_copy/payload_over_a_header", 1);

using discarding = copied_ring<ring_mode::discard, 24, 0>;

// A ring that was empty.
struct written_while_copied : scenario, discarding {
  void prepare() override { attach(); }
  void work(unsigned thread) override {
    if (thread == 0) {
      write();
    } else {
      copier by(region);
      by.copy(start, most * stride, places(), piece);
      check_piece(piece);
    }
  }
  void check() override {}
};
const registration<written_while_copied, 2> c4("ring_copy/written_while_copied");

// A record that is filled and closed by another thread while the copy comes by.
struct closed_while_copied : scenario, discarding {
  record open;
  void prepare() override {
    attach();
    RL_ASSERT(writer.reserve(ordinary_type, 1, 8, open) == reserve_status::ok);
    ++written;
  }
  void work(unsigned thread) override {
    if (thread == 0) {
      write();
    } else if (thread == 1) {
      fill(open, 1);
      open.close(record_state::committed);
    } else {
      copier by(region);
      by.copy(start, most * stride, places(), piece);
      check_piece(piece);
    }
  }
  void check() override {}
};
const registration<closed_while_copied, 3> c5("ring_copy/closed_while_copied", 2);

}  // namespace
}  // namespace sluice::model
