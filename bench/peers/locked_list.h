// A design that drivers use: a mutex and a linked list, with an allocation per event. The producer allocates and stamps,
// then links the event in under the lock; the consumer takes the whole list under the lock, and frees each event after it
// has looked at it. Our own rendering: std::mutex, operator new.
#pragma once

#include <mutex>
#include <string>
#include <utility>

#include "bench/event.h"
#include "bench/handover.h"

namespace sluice::bench {

template <class of_clock>
class locked_list {
 public:
  using clock = of_clock;
  static std::string name() { return "locked_list"; }

  explicit locked_list(size_t most = queue_events) : most_(most) {}
  ~locked_list() {
    drain([](uint64_t, const uint8_t*) {});
  }

  void push(const event_payload& payload) {
    node* const made = new node{nullptr, {clock_.now(), payload}};
    while (!link(made)) relax();
  }
  // False: no room, and the event is dropped.
  bool try_push(const event_payload& payload) {
    node* const made = new node{nullptr, {clock_.now(), payload}};
    if (link(made)) return true;
    delete made;
    return false;
  }
  void finish() {}

  template <class visitor>
  size_t drain(visitor&& visit) {
    node* first = nullptr;
    size_t count = 0;
    {
      const std::lock_guard lock(mutex_);
      first = std::exchange(first_, nullptr);
      count = std::exchange(count_, 0);
      end_ = &first_;
    }
    while (first != nullptr) {
      node* const done = first;
      visit(done->event.time, reinterpret_cast<const uint8_t*>(&done->event.payload));
      first = done->next;
      delete done;
    }
    return count;
  }

 private:
  struct node {
    node* next;
    timed_event event;
  };
  bool link(node* made) {
    const std::lock_guard lock(mutex_);
    if (count_ >= most_) return false;
    *end_ = made;
    end_ = &made->next;
    ++count_;
    return true;
  }

  const size_t most_;
  alignas(128) std::mutex mutex_;
  node* first_ = nullptr;
  node** end_ = &first_;
  size_t count_ = 0;
  clock clock_;
};

}  // namespace sluice::bench
