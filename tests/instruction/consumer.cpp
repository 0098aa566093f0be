// The consumer of a world: what a pass must emit, what it did emit, and the whole stream in the end.
#include "tests/instruction/stepped.h"
#include "tests/instruction/world.h"

namespace sluice::instruction {

// M3 and M1: the rule of the merge, as a plain search over all rings for each record.
void world::expect_emission(uint64_t bound) {
  uint32_t cursor[rings];
  uint64_t taken_time[rings];
  for (uint32_t i = 0; i < rings; ++i) {
    cursor[i] = static_cast<uint32_t>(now().readers[i].cursor());
    taken_time[i] = now().taken_time[i];
  }
  expected_count_ = expected_next_ = 0;
  for (;;) {
    uint32_t best = 0;
    uint64_t best_key = ~uint64_t{0};
    for (uint32_t i = 0; i < rings; ++i) {
      uint64_t key = bound - 1;
      if (cursor[i] != published(i)) {
        const record_header& head = header(i, cursor[i]);
        key = state_of(head.state_and_length) == record_state::reserved ? taken_time[i] : time_of(head);
      }
      if (key < best_key) {
        best_key = key;
        best = i;
      }
    }
    if (cursor[best] == published(best)) return;
    const record_header& head = header(best, cursor[best]);
    const record_state state = state_of(head.state_and_length);
    if (!is_closed(state) || expected_count_ == 2 * max_log) return;
    if (state == record_state::committed) {
      expected_[expected_count_++] = {time_of(head), cursor[best], static_cast<uint8_t>(best)};
    }
    taken_time[best] = time_of(head);
    cursor[best] += record_stride(length_of(head.state_and_length));
  }
}

pass_result world::pass(bool release) {
  machine& state = now();
  expect_emission(state.earlier_bound != 0 ? state.earlier_bound : state.counter);
  expecting_ = true;
  const pass_result result =
      state.merged.pass([this](const record_view<native_seam>& seen) { return stepped_deliver(this, &seen) != 0; });
  expecting_ = false;
  check(expected_next_ == expected_count_, "M3: a pass held back what is final", expected_next_, expected_count_);
  check(result.end != pass_end::damaged, "a ring contradicts itself");
  for (uint32_t i = 0; i < rings; ++i) {
    // The bound of a reserved head: the last record of this ring that the log knows to be in front of it.
    const uint32_t cursor = static_cast<uint32_t>(state.readers[i].cursor());
    for (uint32_t n = 0; n < state.log_count; ++n) {
      const log_entry& each = state.log[n];
      if (each.result != outcome::ok || 2u * each.asked.cpu + each.lane != i) continue;
      if (each.position + record_stride(record_header_size + each.asked.length) != cursor) continue;
      state.taken_time[i] = time_of(header(i, each.position));
    }
  }
  if (release) state.merged.release();
  return result;
}

bool world::deliver(const record_view<native_seam>& seen) {
  machine& state = now();
  const uint8_t ring = static_cast<uint8_t>(2 * seen.cpu + seen.lane);
  bool is_loss = false;
  const uint32_t index = find(ring, static_cast<uint32_t>(seen.position), is_loss);
  if (index == ~0u) {
    fail("a record was delivered that nobody wrote", seen.position, ring);
    return true;
  }
  const log_entry& its = state.log[index];
  const uint32_t length = is_loss ? its.loss_length : record_header_size + its.asked.length;
  check(seen.length == length, "length of a delivered record", seen.length, length);
  check(seen.type() == (is_loss ? record_type_loss : its.asked.type), "type of a delivered record", seen.type());
  check(is_loss || its.asked.what != deed::discard, "a discarded record was delivered", index);
  if (is_loss) {
    check_loss(seen.payload(), seen.payload_length(), index);
  } else {
    check(intact(seen.payload(), index), "a delivered record's payload is torn", index);
  }

  const delivered_record record{seen.time, seen.position, ring};
  check(!seen.late, "M1: delivered late", seen.time);
  if (state.delivered_count != 0) {
    const delivered_record& last = state.delivered[state.delivered_count - 1];
    const bool after = record.time != last.time ? record.time > last.time
                       : ring != last.ring      ? ring > last.ring
                                                : record.position > last.position;
    check(after, "M1: delivered out of order", record.time, last.time);
  }
  if (expecting_) {
    const bool same = expected_next_ < expected_count_ && expected_[expected_next_].ring == ring &&
                      static_cast<uint32_t>(expected_[expected_next_].position) == static_cast<uint32_t>(seen.position) &&
                      expected_[expected_next_].time == seen.time;
    check(same, "M1, M3: a pass emits something else than the smallest that is final", seen.position, ring);
    ++expected_next_;
  }
  if (state.delivered_count == 2 * max_log) {
    fail("the test's stream is too short, or a record comes again and again");
    return false;
  }
  state.delivered[state.delivered_count++] = record;
  return true;
}

void world::check_stream() {
  const machine& state = now();
  for (uint32_t cpu = 0; cpu < cpus; ++cpu) {
    uint32_t next = 0;
    const auto must_come = [&](uint32_t lane, uint32_t position, const char* what) {
      while (next < state.delivered_count && state.delivered[next].ring / lanes_per_cpu != cpu) ++next;
      if (next == state.delivered_count) return fail(what, position, cpu);
      const delivered_record& got = state.delivered[next++];
      check(got.ring == 2 * cpu + lane && static_cast<uint32_t>(got.position) == position, what, got.position, position);
    };
    for (uint32_t i = 0; i < state.log_count; ++i) {
      const log_entry& each = state.log[i];
      if (each.asked.cpu != cpu || each.result != outcome::ok) continue;
      if (each.loss_length != 0) {
        must_come(each.lane, each.position - record_stride(each.loss_length), "M2, R4: LOSS missing or misplaced in the stream");
      }
      if (each.end == fate::committed) must_come(each.lane, each.position, "M2: a record missing or misplaced in the stream");
    }
    while (next < state.delivered_count && state.delivered[next].ring / lanes_per_cpu != cpu) ++next;
    check(next == state.delivered_count, "M2: a record was delivered twice, or should not have been", next);
  }
}

void world::finish() {
  machine& state = now();
  state.earlier_bound = 0;
  for (uint32_t i = 0; i < state.log_count; ++i) {
    check(state.log[i].result != outcome::running, "an operation never ended", i);
    check(state.log[i].end != fate::open || state.log[i].result != outcome::ok, "the test left a record open", i);
  }
  (void)pass(true);
  for (uint32_t i = 0; i < rings; ++i) {
    check(consumed(i) == published(i), "M3: everything is closed, and something is held back", consumed(i), published(i));
  }
  check_stream();
  check(state.merged.late_records() == 0, "M1: late records", state.merged.late_records());
  for (uint32_t cpu = 0; cpu < cpus; ++cpu) {
    while (!hostile && !state.producers[cpu].settle()) {
    }
  }
  inspect();
  check(state.deferred_run == state.deferred_count, "what was put off never ran", state.deferred_run);
}

}  // namespace sluice::instruction
