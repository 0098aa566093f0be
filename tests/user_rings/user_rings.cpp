#include "tests/user_rings/user_rings.h"

#include "pipeline/native_merge.h"
#include "producers/kernel_rings.h"

namespace user_rings {
namespace {

using namespace sluice;

constexpr uint16_t type = first_own_type;
constexpr uint32_t longest = 200;  // bytes of payload
constexpr ring_geometry main_geometry{65536, 2048, 8192};
constexpr ring_geometry spare_geometry{16384, 2048, 0};
constexpr uint32_t rings = cpus * lanes_per_cpu;

kernel_rings producers[cpus];
ring_reader<native_seam> readers[rings];
ring_head heads[rings];
tournament_node nodes[tournament_nodes(rings)];

uint64_t read_counter(void*) { return kernel_clock().now(); }
native_merge reader(outer_clock(&read_counter, nullptr), slack_order(0));

uint32_t length_of(uint64_t number) { return static_cast<uint32_t>(8 + number * 7 % (longest - 8)); }

void fill(uint8_t* payload, uint64_t number) {
  copy_bytes(payload, &number, sizeof number);
  for (uint32_t i = 8; i < length_of(number); ++i) payload[i] = static_cast<uint8_t>(number + i);
}

struct checker {
  seen& what;

  bool accept(const record_view<native_seam>& record) {
    if (record.time < what.last_time && !record.late) ++what.out_of_order;
    if (!record.late) what.last_time = record.time;
    if (record.type() == record_type_loss) {
      loss_payload loss;
      copy_bytes(&loss, record.payload(), sizeof loss);
      what.lost += loss.events;
      return true;
    }
    uint64_t number;
    copy_bytes(&number, record.payload(), sizeof number);
    bool whole = record.payload_length() == length_of(number) && number >= what.next[record.cpu];
    for (uint32_t i = 8; whole && i < length_of(number); ++i) {
      whole = record.payload()[i] == static_cast<uint8_t>(number + i);
    }
    what.next[record.cpu] = number + 1;
    what.damaged += !whole;
    ++what.records;
    return true;
  }
  void note_set_aside(const record_view<native_seam>&) {}
  bool begin_epoch(const epoch_start&) { return true; }
  uint32_t ring_count() { return rings; }
};

}  // namespace

bool start(void* (*allocate)(uint64_t bytes)) {
  if (check_geometry(main_geometry) != region_status::ok || check_geometry(spare_geometry) != region_status::ok) return false;
  LARGE_INTEGER frequency;
  KeQueryPerformanceCounter(&frequency);
  const uint64_t ticks_a_second = static_cast<uint64_t>(frequency.QuadPart);
  for (uint16_t cpu = 0; cpu < cpus; ++cpu) {
    region_view<native_seam> views[lanes_per_cpu];
    for (uint8_t lane = 0; lane < lanes_per_cpu; ++lane) {
      const ring_geometry& geometry = lane == lane_main ? main_geometry : spare_geometry;
      views[lane] = create_region(allocate(region_bytes(geometry)), geometry, {1, ticks_a_second, cpu, lane, 0, cpus});
      readers[cpu * lanes_per_cpu + lane].attach(views[lane]);
    }
    producers[cpu].attach(views[lane_main], views[lane_spare], uint64_t{1} << record_type_loss);
  }
  reader.policy() = slack_order(ticks_a_second / 20000);
  reader.attach(readers, heads, nodes, rings);
  return true;
}

bool emit(uint32_t cpu, uint64_t number, bool reserve) {
  if (!reserve) {
    uint8_t payload[longest];
    fill(payload, number);
    return producers[cpu].write_out_of_line(type, 1, payload, length_of(number)) == reserve_status::ok;
  }
  kernel_record record;
  const event_context context{1, 2};
  if (producers[cpu].reserve_out_of_line(type, 1, length_of(number), record, &context) != reserve_status::ok) return false;
  fill(record.payload(), number);
  record.close(record_state::committed);
  return true;
}

void merge_once(seen& what) {
  checker to{what};
  (void)reader.pass(outer_sink(to));
  reader.release();
}

account settle(uint32_t cpu) {
  while (!producers[cpu].settle()) {
  }
  (void)producers[cpu].restart_consumer();
  const account_row& row = producers[cpu].row(type);
  return {row.attempted, row.dropped_total(), row.committed};
}

}  // namespace user_rings
