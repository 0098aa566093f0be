// What neither a producer nor the merge of a kernel worker compiles, instantiated for the freestanding gate: regions and
// their validation, the published figures, walks and prepared reservations of a statistics collector, bounded order with a
// sink that is told of what is set aside, and a batch as it is written. The clock is given from outside, as the kernel
// gives it.
#include "pipeline/batch_writer.h"
#include "pipeline/cpu_rings.h"
#include "pipeline/merge.h"
#include "pipeline/wake.h"

namespace {

using seam = sluice::native_seam;
using reader = sluice::ring_reader<seam>;
using view = sluice::region_view<seam>;
using record = sluice::open_record<seam>;

struct borrowed_clock {
  const volatile uint64_t* counter = nullptr;
  uint64_t now() const { return *counter; }
};

struct borrowed_barrier {
  void (*run)() = nullptr;
  void operator()() const { run(); }
};

struct batch_sink {
  sluice::batch_writer writer;
  uint64_t set_aside_count = 0;
  bool operator()(const sluice::record_view<seam>& seen) { return writer.add(seen); }
  void set_aside(const sluice::record_view<seam>&) { ++set_aside_count; }
};

using rings = sluice::cpu_rings<seam, borrowed_clock>;
using bounded_slack = sluice::merge<seam, borrowed_clock, sluice::slack_order>;
using bounded_exact = sluice::merge<seam, borrowed_clock, sluice::exact_order<borrowed_barrier>>;

}  // namespace

extern "C" {

void pipeline_create_region(void* memory, const sluice::ring_geometry& geometry,
                            const sluice::region_identity& identity, view& made) {
  if (sluice::check_geometry(geometry) == sluice::region_status::ok) {
    made = sluice::create_region(memory, geometry, identity);
  }
}

sluice::region_status pipeline_check_region(void* memory, size_t bytes, view& checked) {
  return sluice::check_region(memory, bytes, checked);
}

bool pipeline_read_loss_figures(reader& from, sluice::loss_summary& summary) {
  return sluice::read_loss_figures(from.loss(), summary);
}

bool pipeline_reserve_prepared(rings& cpu, uint16_t type, uint32_t length, uint64_t value, record& open) {
  return cpu.reserve(type, 1, length, open, [&](const record& fresh) {
    sluice::copy_bytes(fresh.payload(), &value, sizeof value);
  }) == sluice::reserve_status::ok;
}

void pipeline_where(const rings& cpu, rings::positions& where) { where = cpu.where(); }
void pipeline_row(const rings& cpu, uint32_t type, sluice::account_row& row) { row = cpu.row(type); }

void pipeline_attach_reader(reader& from, const view& region) { from.attach(region); }

bool pipeline_count_open(reader& from, uint32_t begin, uint32_t end, uint64_t* open) {
  return from.walk(begin, end, [&](uint16_t type, const sluice::ring_head& head) {
    open[type % sluice::max_record_types] += head.state == sluice::head_state::stamped;
  });
}

bool pipeline_slack_pass(bounded_slack& merge, batch_sink& sink) { return merge.pass(sink).may_sleep(); }
bool pipeline_exact_pass(bounded_exact& merge, batch_sink& sink) { return merge.pass(sink).may_sleep(); }

void pipeline_attach_merge(bounded_exact& merge, reader* readers, sluice::ring_head* heads,
                           sluice::tournament_node* nodes, uint32_t count, uint64_t set_aside_after) {
  merge.attach(readers, heads, nodes, count, {set_aside_after});
}

bool pipeline_write_figures(sluice::batch_writer& writer, uint16_t cpu, const sluice::loss_summary& figures) {
  return writer.add_figures(cpu, figures);
}

}  // extern "C"
