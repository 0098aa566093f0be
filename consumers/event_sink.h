// Where decoded events go. A sink formats into an output_writer; it keeps nothing of an event. One thread at a time.
#pragma once

#include "consumers/decoder.h"
#include "consumers/output_writer.h"
#include "consumers/stream_clock.h"

namespace sluice {

class event_sink {
 public:
  virtual ~event_sink() = default;
  virtual void write(const decoded_event& event) = 0;
};

// What both sinks need: who gives names and times, and where the lines go. All of them outlive the sink.
struct sink_context {
  const decoder& names;
  const stream_clock& clock;
  output_writer& out;
};

}  // namespace sluice
