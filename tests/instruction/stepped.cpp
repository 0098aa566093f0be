#include "tests/instruction/stepped.h"

namespace sluice::instruction {

void stepped_fill_and_close(void* doer) {
  activity& mine = *static_cast<activity*>(doer);
  copy_bytes(mine.open.payload(), mine.payload, mine.asked.length);
  mine.open.close(mine.asked.what == deed::discard ? record_state::discarded : record_state::committed);
  signal_after_close(*mine.home);
  stepped_record_closed(doer, nullptr);
}

void stepped_produce(void* doer) {
  activity& mine = *static_cast<activity*>(doer);
  producer_rings& cpu = mine.home->now().producers[mine.asked.cpu];
  const operation asked = mine.asked;
  if (asked.what == deed::write) {
    stepped_section_entered(doer, nullptr);
    mine.status = cpu.write(asked.type, 1, mine.payload, asked.length);
    if (mine.status == reserve_status::ok) signal_after_close(*mine.home);
    stepped_section_left(doer, nullptr);
    return;
  }
  stepped_section_entered(doer, nullptr);
  const bool announces = cpu.gap_is_open();  // as channel::reserve_on
  mine.status = cpu.reserve(asked.type, 1, asked.length, mine.open);
  if (announces && mine.status == reserve_status::ok) signal_after_close(*mine.home);
  stepped_section_left(doer, nullptr);
  if (mine.status == reserve_status::ok) stepped_fill_and_close(doer);
}

void stepped_consume(void* of_world) {
  consumer_merge& merged = static_cast<world*>(of_world)->now().merged;
  (void)merged.pass([of_world](const record_view<native_seam>& seen) {
    return stepped_deliver(of_world, &seen) != 0;
  });
  merged.release();
}

void stepped_go_to_sleep(void* of_world) {
  world& home = *static_cast<world*>(of_world);
  home.wake.announce(announcement::any_close);
  home.now().asleep = home.now().merged
                          .pass([of_world](const record_view<native_seam>& seen) {
                            return stepped_deliver(of_world, &seen) != 0;
                          })
                          .may_sleep();
}

}  // namespace sluice::instruction
