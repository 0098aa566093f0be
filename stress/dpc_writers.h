// DPC writers: two DPCs on every CPU, each a writer of its own, queued by whoever feels like it: on the same CPU they run
// over the open reservations of the one who queued them.
#pragma once

#include <deque>

#include "stress/random.h"
#include "stress/writer.h"

namespace sluice::stress {

class dpc_writers {
 public:
  static constexpr uint32_t per_cpu = 2;

  // Writers number first_writer .. first_writer + per_cpu * cpus - 1.
  dpc_writers(rig& on, uint32_t first_writer);
  ~dpc_writers() { KeFlushQueuedDpcs(); }
  dpc_writers(const dpc_writers&) = delete;
  dpc_writers& operator=(const dpc_writers&) = delete;

  // Up to DISPATCH_LEVEL.
  void queue(uint32_t cpu, uint32_t which);

  // At rest (after KeFlushQueuedDpcs).
  template <class visitor>
  void for_each_writer(visitor&& visit) {
    for (one& each : dpcs_) visit(each.events);
  }
  uint64_t runs() const;

 private:
  struct one {
    one(rig& on, uint32_t writer, uint32_t cpu);
    rig& shared;
    writer events;
    random_source random;
    uint64_t runs = 0;
    KDPC dpc;
  };
  static VOID NTAPI run(PKDPC, PVOID context, PVOID, PVOID);

  std::deque<one> dpcs_;
};

}  // namespace sluice::stress
