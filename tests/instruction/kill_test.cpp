// A producer that never goes on from an instruction. Outside its CPU's section it is a thread that hangs or is gone: the
// machine lives, its record stays open. Inside, nothing else can happen on that CPU any more: a dead machine, of which the
// regions are read.
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "tests/instruction/scenario.h"

using namespace sluice;
using namespace sluice::instruction;

namespace {

// A second consumer, from where the first stands, which lets what is open fall behind (bounded order).
void deliver_past_open_records(world& w) {
  ring_reader<native_seam> readers[rings];
  ring_head heads[rings];
  tournament_node nodes[tournament_nodes(rings)];
  std::copy(std::begin(w.now().readers), std::end(w.now().readers), readers);
  uint64_t now_is = 0;
  consumer_merge merged(tick_clock{&w.now().counter}, {&now_is});
  merged.attach(readers, heads, nodes, rings, {1});
  w.now().counter += 1000;
  const pass_result result =
      merged.pass([&](const record_view<native_seam>& seen) { return stepped_deliver(&w, &seen) != 0; });
  merged.release();
  w.check(result.end == pass_end::idle_bound, "M3: bounded order is held back", static_cast<uint64_t>(result.end));
  w.check(merged.late_records() == 0, "M1: late records, though none was closed late", merged.late_records());
}

// CPU 0 goes on for several laps of its ring, with the consumer at it.
void life_goes_on(world& w, const activity& dead) {
  uint32_t dropped = 0;
  (void)w.pass(true);
  for (uint32_t i = 0; i < 24; ++i) {
    const uint32_t index = w.produce({i % 3 == 2 ? deed::commit : deed::write, 0, ordinary_type, 500 + 8 * i});
    dropped += w.now().log[index].result == outcome::dropped;
    if (i % 4 == 3) (void)w.pass(true);
    w.inspect();
  }
  const bool held_back = w.is_open(dead);
  w.check(!held_back || dropped != 0, "the ring was never full");
  w.check(held_back || dropped == 0, "a ring without an open record drops", dropped);
  uint32_t arrived = 0;
  for (uint32_t i = 0; i < 5; ++i) {
    const uint32_t index = w.produce({deed::write, 0, critical_type, 200});
    arrived += w.now().log[index].result == outcome::ok;
    w.inspect();
  }
  w.check(arrived == 5, "R6: critical events over an open record", arrived);
  (void)w.pass(true);
  w.inspect();
  deliver_past_open_records(w);
  w.inspect();
  w.check_stream();
}

// The memory of all regions as a dead machine leaves it, and what a reader makes of it.
class dump {
 public:
  dump() : memory_(mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {}
  ~dump() { munmap(memory_, bytes()); }
  dump(const dump&) = delete;
  dump& operator=(const dump&) = delete;

  void read(world& w) {
    ring_reader<native_seam> readers[rings];
    for (uint32_t i = 0; i < rings; ++i) {
      uint8_t* const copy = static_cast<uint8_t*>(memory_) + size_t{i} * region_bytes(main_geometry);
      std::memcpy(copy, w.views[i].producer, region_bytes(main_geometry));
      region_view<native_seam> view;
      const region_status status = check_region(copy, region_bytes(main_geometry), view);
      w.check(status == region_status::ok, "a dead machine's region is refused", static_cast<uint64_t>(status));
      if (w.failed()) return;
      const uint32_t begin = view.consumer->consumed.load(memory_order::acquire);
      const uint32_t end = view.producer->published.load(memory_order::acquire);
      view.start_position = begin;
      readers[i].attach(view);
      walk(w, readers[i], i, begin, end);
    }
    // In order, as far as what is open lets it: as from the living machine's memory, where what must come was worked out.
    ring_head heads[rings];
    tournament_node nodes[tournament_nodes(rings)];
    uint64_t bound = w.now().counter + 1000;
    consumer_merge merged(tick_clock{}, {&bound});
    merged.attach(readers, heads, nodes, rings);
    uint32_t next = w.now().delivered_count;
    (void)w.pass(false);
    const pass_result result = merged.pass([&](const record_view<native_seam>& seen) {
      const delivered_record& same = w.now().delivered[next++];
      w.check(same.time == seen.time && same.position << 32 == seen.position << 32, "a dead machine's stream is another",
              seen.position, same.position);
      return true;
    });
    w.check(next == w.now().delivered_count, "a dead machine's stream is shorter or longer", next, w.now().delivered_count);
    w.check(result.end != pass_end::damaged, "a dead machine's ring contradicts itself");
  }

 private:
  static size_t bytes() { return size_t{rings} * region_bytes(main_geometry); }

  // Every committed record of the log is there; what is open is shown as open.
  void walk(world& w, ring_reader<native_seam>& reader, uint32_t ring, uint32_t begin, uint32_t end) {
    uint32_t committed = 0;
    uint32_t open = 0;
    uint32_t losses = 0;
    const bool whole = reader.walk(begin, end, [&](uint16_t type, const ring_head& head) {
      const bool is_open = head.state == head_state::reserved || head.state == head_state::stamped;
      losses += type == record_type_loss && !is_open;
      open += is_open;
      committed += type != record_type_loss && head.state == head_state::committed;
    });
    w.check(whole, "a dead machine's ring cannot be walked");
    uint32_t certain = 0;
    uint32_t unfinished = 0;
    uint32_t certain_losses = 0;
    for (uint32_t i = 0; i < w.now().log_count; ++i) {
      const log_entry& each = w.now().log[i];
      if (each.asked.cpu != ring / lanes_per_cpu || each.result == outcome::dropped) continue;
      if (each.result == outcome::running) {
        ++unfinished;
        continue;
      }
      if (each.lane != ring % lanes_per_cpu || static_cast<int32_t>(each.position - begin) < 0) continue;
      certain += each.end == fate::committed;
      unfinished += each.end == fate::open;
      certain_losses += each.loss_length != 0 && static_cast<int32_t>(each.position - each.loss_length - begin) >= 0;
    }
    w.check(committed - certain <= unfinished, "a committed record is not in the dump", committed, certain);
    w.check(losses >= certain_losses && losses <= certain_losses + 1, "a LOSS is not in the dump", losses, certain_losses);
    w.check(open <= 2 * unfinished, "a dump shows something open that is not", open, unfinished);
  }

  void* memory_;
};

}  // namespace

TEST(every_instruction, a_producer_that_never_goes_on_costs_its_own_record_only) {
  SLUICE_NEEDS_SINGLE_STEPS();
  tally count;
  uint64_t open = 0;
  const auto visit = [&](world& w, stepper&, activity& mine) {
    if (w.now().section[0] != 0) return;
    w.save(0);
    w.doing = "killed";
    w.bury(mine);
    open += w.is_open(mine);
    life_goes_on(w, mine);
    w.restore(0);
    ++count.continuations;
  };
  for (const setting& from : {room_at_once, gap_open, spare_lane}) {
    for (const deed what : {deed::write, deed::commit}) {
      sweep(from, what, {8, 48}, count, visit);
      if (HasFatalFailure()) return;
    }
  }
  count.report("kills outside the section", 60);
  EXPECT_GT(open, 200u);
}

TEST(every_instruction, of_a_machine_that_dies_every_committed_record_is_read) {
  SLUICE_NEEDS_SINGLE_STEPS();
  tally count;
  dump memory;
  const auto visit = [&](world& w, stepper&, activity&) {
    w.save(0);
    w.doing = "dead machine";
    memory.read(w);
    w.restore(0);
    ++count.continuations;
  };
  for (const setting& from : all_settings) {
    for (const deed what : {deed::write, deed::commit}) {
      sweep(from, what, {48, 8}, count, visit, 72);
      if (HasFatalFailure()) return;
    }
  }
  count.report("dead machines", 60);
}
