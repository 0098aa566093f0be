// The merge as a kernel worker compiles it, instantiated for the freestanding gate: both order policies, and a batch as
// sink, and the copy of a ring. Its object must need nothing from outside.
#include "pipeline/batch.h"
#include "pipeline/merge.h"
#include "pipeline/ring_copy.h"
#include "pipeline/wake.h"

namespace {

using seam = sluice::native_seam;
using view = sluice::record_view<seam>;

struct borrowed_clock {
  const volatile uint64_t* counter = nullptr;
  uint64_t now() const { return *counter; }
};

struct borrowed_barrier {
  void (*run)() = nullptr;
  void operator()() const { run(); }
};

struct borrowed_sink {
  bool (*accept)(void* context, const view& record) = nullptr;
  void* context = nullptr;
  bool operator()(const view& record) const { return accept(context, record); }
};

using slack_merge = sluice::merge<seam, borrowed_clock, sluice::slack_order>;
using exact_merge = sluice::merge<seam, borrowed_clock, sluice::exact_order<borrowed_barrier>>;

}  // namespace

extern "C" {

uint32_t consumer_slack_pass(slack_merge& merge, borrowed_sink& sink) {
  const uint32_t emitted = merge.pass(sink).emitted;
  merge.release();
  return emitted;
}

uint32_t consumer_exact_pass(exact_merge& merge, borrowed_sink& sink) {
  const uint32_t emitted = merge.pass(sink).emitted;
  merge.release();
  return emitted;
}

void consumer_attach(slack_merge& merge, sluice::ring_reader<seam>* readers, sluice::ring_head* heads,
                     sluice::tournament_node* nodes, uint32_t count) {
  merge.attach(readers, heads, nodes, count);
}

void consumer_copy(const sluice::region_view<seam>& ring, uint64_t kept, uint8_t* to, uint32_t room,
                   sluice::ring_copier<seam>::piece& piece) {
  const auto place = [to](uint32_t offset) { return seam::memory(to + offset); };
  sluice::ring_copier<seam> copier(ring);
  copier.copy(kept, room, place, piece);
  if (piece.end != piece.until) copier.copy_more(piece.end, piece.until, room, place, piece);
}

void consumer_announce(sluice::wake_line<seam>& line) { line.announce(sluice::announcement::any_close); }

}  // extern "C"
