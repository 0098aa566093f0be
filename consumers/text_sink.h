// One line of text an event, for people. The format is docs/output-formats.md.
#pragma once

#include "consumers/event_sink.h"

namespace sluice {

class text_sink : public event_sink {
 public:
  text_sink(const sink_context& context, bool colours) : context_(context), colours_(colours) {}
  void write(const decoded_event& event) override;

 private:
  sink_context context_;
  bool colours_;
};

// Colours are for a terminal, unless NO_COLOR is set to anything (https://no-color.org) or TERM is "dumb".
bool wants_colours(int descriptor);

}  // namespace sluice
