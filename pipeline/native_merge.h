// The merge that a driver and its clients run: one class, compiled from one file (native_merge.cpp) into sluice.sys and into every
// client, with the same options. What lies outside it is called through pointers: the clock, and whoever takes the records. So a
// pass is the same machine code on both sides of a mapping, and a test compares it instruction by instruction in what was linked
// (tests/gates/same_code.py).
//
// It is compiled without exceptions: what it calls lets none out.
//
// Whoever has a clock or an order of his own takes the template (pipeline/merge.h). One consumer thread. Freestanding. IRQL: that of
// the memory, and of what is called.
#pragma once

#include "pipeline/merge.h"

namespace sluice {

// A clock of somebody else's.
class outer_clock {
 public:
  outer_clock(uint64_t (*read)(void* context), void* context) : read_(read), context_(context) {}
  uint64_t now() const { return read_(context_); }

 private:
  uint64_t (*read_)(void* context);
  void* context_;
};

// A sink of somebody else's: all that merge::pass() asks of one.
class outer_sink {
 public:
  using record = record_view<native_seam>;

  // `to` has accept(record) -> bool, note_set_aside(record), begin_epoch(epoch_start) -> bool and ring_count() -> uint32_t; it
  // outlives this.
  template <class consumer>
  explicit outer_sink(consumer& to)
      : context_(&to),
        accept_([](void* context, const record& each) { return static_cast<consumer*>(context)->accept(each); }),
        set_aside_([](void* context, const record& each) { static_cast<consumer*>(context)->note_set_aside(each); }),
        begin_epoch_([](void* context, const epoch_start& start) {
          return static_cast<consumer*>(context)->begin_epoch(start);
        }),
        ring_count_([](void* context) { return static_cast<consumer*>(context)->ring_count(); }) {}

  bool operator()(const record& each) const { return accept_(context_, each); }
  void set_aside(const record& each) const { set_aside_(context_, each); }
  bool begin_epoch(const epoch_start& start) const { return begin_epoch_(context_, start); }
  uint32_t ring_count() const { return ring_count_(context_); }

 private:
  void* context_;
  bool (*accept_)(void*, const record&);
  void (*set_aside_)(void*, const record&);
  bool (*begin_epoch_)(void*, const epoch_start&);
  uint32_t (*ring_count_)(void*);
};

class native_merge : public merge<native_seam, outer_clock, slack_order> {
 public:
  using merge::merge;

  // As in the template; these are what is compiled once.
  void attach(reader* readers, ring_head* heads, tournament_node* nodes, uint32_t count,
              const merge_options& options = {});
  pass_result pass(const outer_sink& sink);
  void release();
};

}  // namespace sluice
