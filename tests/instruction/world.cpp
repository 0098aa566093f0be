#include "tests/instruction/world.h"

#include <sys/mman.h>

#include <array>
#include <cstring>
#include <new>
#include <stdexcept>

#include "tests/instruction/stepped.h"
#include "tests/instruction/stepper.h"

namespace sluice::instruction {

namespace {

constexpr uint32_t saved_data = main_geometry.capacity + main_geometry.max_record;
constexpr uint32_t saved_page = sizeof(producer_page<native_seam>) - offsetof(producer_page<native_seam>, published);
constexpr uint32_t slots = 4;

static_assert(main_geometry.capacity == spare_geometry.capacity && main_geometry.max_record == spare_geometry.max_record);

// Whatever place of a ring is read before it was written looks like a committed record.
constexpr uint64_t stale_words = make_state_and_length(record_state::committed, record_header_size) |
                                 static_cast<uint64_t>(stale_type | 1u << 16) << 32;

}  // namespace

// The payload of entry n begins at noise[8 n]: no two are the same.
const uint8_t* payload_of(uint32_t value) {
  static const auto noise = [] {
    std::array<uint8_t, 8 * world::max_log + 2 * main_geometry.max_record> bytes{};
    uint64_t state = 0x9e3779b97f4a7c15;
    for (uint8_t& byte : bytes) {
      state = state * 6364136223846793005 + 1442695040888963407;
      byte = static_cast<uint8_t>(state >> 56);
    }
    return bytes;
  }();
  return noise.data() + 8 * value;
}

struct world::snapshot {
  struct ring_memory {
    uint8_t page[saved_page];
    uint32_t consumed;
    uint8_t data[saved_data];
  };
  ring_memory memory[rings];
  announcement announced;
  alignas(machine) uint8_t state[sizeof(machine)];
};

world::world(uint32_t start_position) {
  const uint32_t ring_bytes = region_bytes(main_geometry);
  const size_t bytes = size_t{rings} * ring_bytes + sizeof(machine);
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("no memory for the rings");
  memory_ = static_cast<uint8_t*>(memory);
  state_ = new (memory_ + size_t{rings} * ring_bytes) machine;
  snapshots_ = new snapshot[slots];
  for (uint32_t i = 0; i < rings; ++i) {
    const uint16_t cpu = static_cast<uint16_t>(i / lanes_per_cpu);
    const uint8_t lane = static_cast<uint8_t>(i % lanes_per_cpu);
    views[i] = create_region(memory_ + size_t{i} * ring_bytes, lane == lane_main ? main_geometry : spare_geometry,
                             {1, 1000000, cpu, lane, start_position});
    for (uint32_t at = 0; at < saved_data; at += sizeof stale_words) {
      std::memcpy(views[i].data.bytes(at), &stale_words, sizeof stale_words);
    }
    state_->readers[i].attach(views[i]);
  }
  const tick_clock clock{&state_->counter};
  for (uint32_t cpu = 0; cpu < cpus; ++cpu) {
    state_->producers[cpu] = producer_rings(clock);
    state_->producers[cpu].attach(views[2 * cpu], views[2 * cpu + 1], uint64_t{1} << critical_type);
  }
  state_->merged = consumer_merge(clock, {&state_->earlier_bound});
  state_->merged.attach(state_->readers, state_->heads, state_->nodes, rings);
  stepper::execute_whole(stepped_section_entered);
  stepper::execute_whole(stepped_section_left);
  stepper::execute_whole(stepped_record_closed);
  stepper::execute_whole(stepped_deliver);
}

world::~world() {
  delete[] snapshots_;
  munmap(memory_, size_t{rings} * region_bytes(main_geometry) + sizeof(machine));
}

void world::save(uint32_t slot) {
  snapshot& into = snapshots_[slot];
  for (uint32_t i = 0; i < rings; ++i) {
    std::memcpy(into.memory[i].page, &views[i].producer->published, saved_page);
    into.memory[i].consumed = consumed(i);
    std::memcpy(into.memory[i].data, views[i].data.bytes(0), saved_data);
  }
  into.announced = wake.after_close();
  std::memcpy(into.state, state_, sizeof(machine));
}

void world::restore(uint32_t slot) {
  const snapshot& from = snapshots_[slot];
  for (uint32_t i = 0; i < rings; ++i) {
    std::memcpy(static_cast<void*>(&views[i].producer->published), from.memory[i].page, saved_page);
    views[i].consumer->consumed.store(from.memory[i].consumed, memory_order::relaxed);
    std::memcpy(views[i].data.bytes(0), from.memory[i].data, saved_data);
  }
  wake.announce(from.announced);
  std::memcpy(static_cast<void*>(state_), from.state, sizeof(machine));
}

void world::fail(const char* what, uint64_t got, uint64_t wanted) {
  if (failed()) return;
  failure_ = where + ", instruction " + std::to_string(boundary != nullptr ? *boundary : 0) + ", " + doing + ": " + what +
             " (got " + std::to_string(got) + ", wanted " + std::to_string(wanted) + ")";
}

const record_header& world::header(uint32_t ring, uint32_t position) const {
  return *reinterpret_cast<const record_header*>(views[ring].data.bytes(position & (main_geometry.capacity - 1)));
}

// Producers

activity& world::prepare(const operation& asked) {
  machine& state = now();
  if (state.activity_count == max_activities) {
    state.activity_count = 0;
    fail("the test has too few activities");
  }
  activity& made = state.activities[state.activity_count++];
  made = {};
  made.home = this;
  made.asked = asked;
  return made;
}

uint32_t world::produce(const operation& asked) {
  machine& state = now();
  if (state.section[asked.cpu] != 0) {
    if (state.deferred_count == max_deferred) {
      fail("the test has too few places for what is put off");
    } else {
      state.deferred[state.deferred_count++] = asked;
    }
    return ~0u;
  }
  activity own;
  own.home = this;
  own.asked = asked;
  stepped_produce(&own);
  return own.entry;
}

activity& world::reserve(const operation& asked) {
  activity& holder = prepare(asked);
  stepped_section_entered(&holder, nullptr);
  const bool announces = now().producers[asked.cpu].gap_is_open();
  holder.status = now().producers[asked.cpu].reserve(asked.type, 1, asked.length, holder.open);
  if (announces && holder.status == reserve_status::ok) signal_after_close(*this);
  stepped_section_left(&holder, nullptr);
  return holder;
}

activity& world::hold(const operation& asked) {
  activity& holder = reserve(asked);
  if (holder.status == reserve_status::ok) copy_bytes(holder.open.payload(), holder.payload, asked.length);
  return holder;
}

void world::close(activity& holder) {
  if (holder.status != reserve_status::ok) return;
  holder.open.close(holder.asked.what == deed::discard ? record_state::discarded : record_state::committed);
  signal_after_close(*this);
  stepped_record_closed(&holder, nullptr);
}

void world::bury(activity& dead) {
  if (dead.entry == ~0u) return;
  log_entry& its = entry(dead);
  its.running = false;
  if (its.result != outcome::ok || its.end != fate::open) return;
  const record_state state = state_of(header(2u * its.asked.cpu + its.lane, its.position).state_and_length);
  if (state == record_state::committed) its.end = fate::committed;
  if (state == record_state::discarded) its.end = fate::discarded;
}

extern "C" uint64_t stepped_section_entered(void* doer, const void*) {
  activity& mine = *static_cast<activity*>(doer);
  world& home = *mine.home;
  world::machine& state = home.now();
  home.check(state.section[mine.asked.cpu] == 0, "two producers are in the section of one CPU");
  if (state.log_count == world::max_log) {
    home.fail("the test's log is too short");
    --state.log_count;
  }
  mine.entry = state.log_count++;
  mine.payload = payload_of(mine.entry);
  log_entry& its = state.log[mine.entry];
  its = {};
  its.asked = mine.asked;
  its.earliest = state.counter;
  for (uint32_t lane = 0; lane < lanes_per_cpu; ++lane) its.consumed[lane] = home.consumed(2u * mine.asked.cpu + lane);
  its.loss_length = home.expected_loss_length(mine.asked.cpu, mine.entry);
  state.section[mine.asked.cpu] = 1 + mine.entry;
  return 0;
}

extern "C" uint64_t stepped_section_left(void* doer, const void*) {
  activity& mine = *static_cast<activity*>(doer);
  world& home = *mine.home;
  world::machine& state = home.now();
  log_entry& its = state.log[mine.entry];
  const uint8_t cpu = mine.asked.cpu;
  const auto end = state.producers[cpu].where();
  const uint32_t before[] = {home.end_of(cpu, 0, mine.entry), home.end_of(cpu, 1, mine.entry)};
  its.latest = state.counter;
  if (mine.status == reserve_status::ok) {
    its.result = outcome::ok;
    its.lane = end.written[lane_spare] != before[lane_spare];
    its.position = before[its.lane] + record_stride(its.loss_length);
    its.end = mine.asked.what == deed::write ? fate::committed : fate::open;
    its.running = its.end == fate::open;
    home.check(end.written[!its.lane] == before[!its.lane], "a record went into both lanes");
    home.check(end.written[its.lane] == its.position + record_stride(record_header_size + mine.asked.length),
               "the write position is not behind the record (and its LOSS)", end.written[its.lane], its.position);
  } else {
    its.result = outcome::dropped;
    its.running = false;
    its.loss_length = 0;
    home.check(end.written[0] == before[0] && end.written[1] == before[1], "a dropped event took room");
  }
  home.check_room(its);
  state.section[cpu] = 0;

  // What was put off runs now, as a DPC when the IRQL falls.
  while (state.deferred_run != state.deferred_count) {
    const operation put_off = state.deferred[state.deferred_run++];
    if (put_off.cpu == cpu) (void)home.produce(put_off);
  }
  return 0;
}

extern "C" uint64_t stepped_record_closed(void* doer, const void*) {
  activity& mine = *static_cast<activity*>(doer);
  log_entry& its = mine.home->entry(mine);
  its.end = mine.asked.what == deed::discard ? fate::discarded : fate::committed;
  its.running = false;
  return 0;
}

extern "C" uint64_t stepped_deliver(void* of_world, const void* seen) {
  return static_cast<world*>(of_world)->deliver(*static_cast<const record_view<native_seam>*>(seen));
}

}  // namespace sluice::instruction
