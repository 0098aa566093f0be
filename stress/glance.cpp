#include "stress/glance.h"

#include "stress/rig.h"

namespace sluice::stress {

void print_rings(const rig& on, uint32_t cpu) {
  for (uint32_t lane = 0; lane < lanes_per_cpu; ++lane) {
    const region_view<native_seam>& view = on.channel.region(cpu, lane);
    const uint32_t consumed = view.consumer->consumed.load(memory_order::acquire);
    const uint32_t published = view.producer->published.load(memory_order::acquire);
    fmt::print(stderr, "  CPU {} lane {}: consumed {:#010x}, published {:#010x}, {} of {} bytes taken\n", cpu, lane,
               consumed, published, published - consumed, view.geometry.capacity);
    uint32_t position = consumed;
    for (uint32_t shown = 0; position != published && shown < 24; ++shown) {
      const glance seen = look_at(view, position);
      fmt::print(stderr, "    {:#010x} {:9} length {:5} time {} {}\n", position, name_of(seen.state), seen.length,
                 seen.time, name_of_type(seen.type));
      if (seen.state == record_state::none || seen.state > record_state::discarded || seen.length < record_header_size ||
          record_stride(seen.length) > published - position) {
        fmt::print(stderr, "    ... and that is no record\n");
        break;
      }
      position += record_stride(seen.length);
    }
    if (position != published) fmt::print(stderr, "    ...\n");
  }
}

}  // namespace sluice::stress
