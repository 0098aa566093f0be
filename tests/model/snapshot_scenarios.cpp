// Snapshots (kernel_port/snapshot/reader_counts.h): the template that a driver runs, over relacy's words. A section on a CPU is a
// mutex: what NT gives by DISPATCH_LEVEL, one after the other and each seeing what the one before did. The barrier is a DPC on
// each CPU: it takes that mutex once.
#include "kernel_port/snapshot/reader_counts.h"

#include "tests/model/model_seam.h"
#include "tests/model/scenario.h"

namespace sluice::model {
namespace {

constexpr unsigned cpus = 2;

struct snapshots : scenario {
  model_word current;
  reader_counts<model_word> counts[cpus];
  rl::mutex section[cpus];
  rl::var<uint32_t> contents[snapshot_slots];  // a whole snapshot; read and written without order of its own
  static constexpr uint32_t dead = 0xdead;

  void prepare() override {
    for (rl::var<uint32_t>& content : contents) content(RL_INFO) = dead;
    contents[1](RL_INFO) = 1;
    current.store(1, memory_order::relaxed);
  }

  uint32_t enter(unsigned cpu) {
    section[cpu].lock(RL_INFO);
    const uint32_t slot = counts[cpu].enter(current);
    section[cpu].unlock(RL_INFO);
    return slot;
  }
  uint32_t read(uint32_t slot) {
    rl::ctx().sched();  // it may be preempted or fault here
    const uint32_t content = contents[slot](RL_INFO);
    RL_ASSERT(content != dead);
    return content;
  }
  void leave(unsigned cpu, uint32_t slot) {
    section[cpu].lock(RL_INFO);
    counts[cpu].leave(slot);
    section[cpu].unlock(RL_INFO);
  }
  // Comes on one CPU, leaves on another, as a thread that was moved does. What it read is one snapshot.
  uint32_t visit(unsigned from, unsigned to) {
    const uint32_t slot = enter(from);
    if (slot == no_snapshot) return 0;
    const uint32_t content = read(slot);
    RL_ASSERT(contents[slot](RL_INFO) == content);
    leave(to, slot);
    return content;
  }

  void barrier() {
#ifndef SLUICE_MODEL_NO_SNAPSHOT_BARRIER
    for (rl::mutex& cpu : section) {
      cpu.lock(RL_INFO);
      cpu.unlock(RL_INFO);
    }
#endif
  }
  // nt_snapshot::replace, with an end to its patience. True: the former snapshot was given back.
  bool replace(uint32_t former, uint32_t slot, uint32_t content) {
    if (slot != no_snapshot) contents[slot](RL_INFO) = content;
    current.store(slot, order::publish_snapshot);
    barrier();
    for (int look = 0; look < 2; ++look) {
      if (!is_drained(counts, cpus, former)) continue;
      contents[former](RL_INFO) = dead;
      return true;
    }
    return false;
  }
};

// S1, S2: one replacement, a reader that is moved.
struct moved_reader : snapshots {
  void work(unsigned thread) override {
    if (thread == 0) {
      (void)visit(0, 1);
    } else {
      (void)replace(1, 2, 2);
    }
  }
  void check() override {}
};
const registration<moved_reader, 2> n1("snapshot/moved_reader");

// Two readers that leave on the same CPU: the second one's count carries the first.
struct two_readers : snapshots {
  void work(unsigned thread) override {
    if (thread == 2) {
      (void)replace(1, 2, 2);
    } else {
      (void)visit(thread, 1);
    }
  }
  void check() override {}
};
const registration<two_readers, 3> n2("snapshot/two_readers", 2);

// S3: the slot of the former snapshot is used again for the one after the next, which a reader may meet.
struct slot_used_again : snapshots {
  void work(unsigned thread) override {
    if (thread == 0) {
      const uint32_t first = visit(0, 1);
      const uint32_t second = visit(1, 0);
      RL_ASSERT(first <= second);
    } else if (replace(1, 2, 2)) {
      (void)replace(2, 1, 3);
    }
  }
  void check() override {}
};
const registration<slot_used_again, 2> n3("snapshot/slot_used_again", 3);

// Cleared, and set again: readers that find nothing count nowhere.
struct cleared : snapshots {
  void work(unsigned thread) override {
    if (thread == 0) {
      (void)visit(0, 1);
      (void)visit(1, 1);
    } else if (replace(1, no_snapshot, 0)) {
      contents[1](RL_INFO) = 2;
      current.store(1, order::publish_snapshot);
    }
  }
  void check() override {}
};
const registration<cleared, 2> n4("snapshot/cleared", 3);

// Or the above proves nothing: the former snapshot is given back in some execution, and in some a reader still has it.
struct given_back : snapshots {
  bool gone = false;
  void work(unsigned thread) override {
    if (thread == 0) {
      (void)visit(0, 1);
    } else {
      gone = replace(1, 2, 2);
    }
  }
  void check() override { RL_ASSERT(!gone); }
};
const registration<given_back, 2> n5("snapshot/given_back", every_execution, barrier_kind::none, expectation::shows);
struct still_read : given_back {
  void check() override { RL_ASSERT(gone); }
};
const registration<still_read, 2> n6("snapshot/still_read", every_execution, barrier_kind::none, expectation::shows);

}  // namespace
}  // namespace sluice::model
