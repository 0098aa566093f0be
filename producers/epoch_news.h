// That a clock epoch begins at this place of the stream, for whoever writes batches: the epoch, and an anchor to UTC behind it.
// Freestanding.
#pragma once

#include "pipeline/batch_writer.h"
#include "producers/events.h"

namespace sluice {

struct epoch_news {
  uint64_t time;  // of the stream
  epoch_payload epoch;
  anchor_payload anchor;

  // False: no room; nothing was written.
  [[nodiscard]] bool add_to(batch_writer& batch) const {
    return batch.has_room(2, sizeof epoch + sizeof anchor) &&
           batch.add_of_stream(record_type_epoch, time, &epoch, sizeof epoch) &&
           batch.add_of_stream(record_type_anchor, time, &anchor, sizeof anchor);
  }
};

}  // namespace sluice
