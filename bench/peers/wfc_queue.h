// wfcqueue of liburcu: an intrusive list with a wait-free enqueue (one exchange). Nodes come from a fixed array that is used
// in turn; the consumer splices the whole list, walks it, and gives the nodes back once for all of them. No memory is
// allocated, which favours it: its users mostly do. Where the next link is not written yet the consumer spins (the
// library's own wait sleeps 10 ms). Called through the library (liburcu-common), as its licence has it for
// programs of other licences.
#pragma once

#include <urcu/wfcqueue.h>

#include <atomic>
#include <string>
#include <vector>

#include "bench/event.h"
#include "bench/handover.h"

namespace sluice::bench {

template <class of_clock>
class wfc_queue {
 public:
  using clock = of_clock;
  static std::string name() { return "wfcqueue"; }

  wfc_queue() { __cds_wfcq_init(&head_, &tail_); }

  void push(const event_payload& payload) {
    while (pushed_ - returned_seen_ >= queue_events) {
      returned_seen_ = returned_.load(std::memory_order_acquire);
      if (pushed_ - returned_seen_ >= queue_events) relax();
    }
    node& to = nodes_[pushed_++ % queue_events];
    to.event = {clock_.now(), payload};
    cds_wfcq_node_init(&to.link);
    cds_wfcq_enqueue(cast(head_), &tail_, &to.link);
  }
  void finish() {}

  template <class visitor>
  size_t drain(visitor& visit) {
    __cds_wfcq_head head;
    cds_wfcq_tail tail;
    __cds_wfcq_init(&head, &tail);
    if (cds_wfcq_empty(cast(head_), &tail_)) return 0;
    const cds_wfcq_ret got = __cds_wfcq_splice_nonblocking(cast(head), &tail, cast(head_), &tail_);
    if (got == CDS_WFCQ_RET_SRC_EMPTY || got == CDS_WFCQ_RET_WOULDBLOCK) return 0;
    size_t count = 0;
    cds_wfcq_node* link;
    while ((link = __cds_wfcq_first_nonblocking(cast(head), &tail)) == CDS_WFCQ_WOULDBLOCK) relax();
    while (link != nullptr) {
      const node& from = *reinterpret_cast<const node*>(link);  // the link is its first member
      visit(from.event.time, reinterpret_cast<const uint8_t*>(&from.event.payload));
      ++count;
      cds_wfcq_node* next;
      while ((next = __cds_wfcq_next_nonblocking(cast(head), &tail, link)) == CDS_WFCQ_WOULDBLOCK) relax();
      link = next;
    }
    returned_.store(returned_.load(std::memory_order_relaxed) + count, std::memory_order_release);
    return count;
  }

 private:
  struct node {
    cds_wfcq_node link;
    timed_event event;
  };
  static cds_wfcq_head_ptr_t cast(__cds_wfcq_head& head) { return __cds_wfcq_head_cast(&head); }

  alignas(128) cds_wfcq_tail tail_;
  alignas(128) __cds_wfcq_head head_;
  alignas(128) std::atomic<uint64_t> returned_{0};
  alignas(128) uint64_t pushed_ = 0;
  uint64_t returned_seen_ = 0;
  clock clock_;
  std::vector<node> nodes_ = std::vector<node>(queue_events);
};

}  // namespace sluice::bench
