// One JSON object a line (RFC 8259, UTF-8). The format is docs/output-formats.md.
#pragma once

#include "consumers/event_sink.h"

namespace sluice {

class jsonl_sink : public event_sink {
 public:
  explicit jsonl_sink(const sink_context& context) : context_(context) {}
  void write(const decoded_event& event) override;

 private:
  sink_context context_;
};

}  // namespace sluice
