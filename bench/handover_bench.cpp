// Who takes part in the hand-over, and with which rests of the consumer. See bench/handover.h.
#include "bench/handover.h"

#include "bench/peers/boost_queue.h"
#include "bench/peers/ck_queue.h"
#include "bench/peers/locked_list.h"
#include "bench/peers/queued_lock_ring.h"
#include "bench/peers/reader_writer_queue.h"
#include "bench/peers/wfc_queue.h"
#include "bench/sluice_queues.h"

namespace sluice::bench {
namespace {

template <class clock>
void add_all(const settings& with, const std::vector<uint64_t>& rests) {
  add_contestant<sluice_reader<clock>>(with, rests);
  add_contestant<sluice_exact<clock>>(with, rests);
  add_contestant<sluice_slack<clock, 2000>>(with, rests);
  add_contestant<sluice_slack<clock, 50000>>(with, {0});
  add_contestant<boost_queue<clock, 1>>(with, rests);
  add_contestant<boost_queue<clock, 8>>(with, {0});
  add_contestant<boost_queue<clock, 32>>(with, {0});
  add_contestant<boost_queue<clock, 128>>(with, {0});
  add_contestant<boost_queue<clock, 512>>(with, {0});
  add_contestant<reader_writer_queue<clock>>(with, rests);
  add_contestant<ck_queue<clock>>(with, rests);
  add_contestant<wfc_queue<clock>>(with, rests);
  add_contestant<queued_lock_ring<clock>>(with, rests);
  add_contestant<locked_list<clock>>(with, rests);
}

}  // namespace

void add_handover(const settings& with) {
  if (pick_cpus().available < 2) return;
  add_all<monotonic_clock>(with, {0, 2000, 10000});
  add_all<counter_clock>(with, {0});
}

}  // namespace sluice::bench
