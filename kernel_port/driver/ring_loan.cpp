// The worker while a client has the rings mapped (kernel_port/driver/mapping.h): it takes nothing from them, answers, and says when a
// record was closed; and how it takes over afterwards.
//
// It goes on where the kernel has given room back to: as far as the client's claim held (R5). What the client took and did not give
// back comes again, with its identity; nothing is skipped. A claim that did not hold is void with its violation, which stays counted.
#include "kernel_port/driver/worker.h"

namespace sluice {

void worker::lend_rings(const close_listener& to) {
  listener_ = to;
  change_loan(loan::asked);
}

void worker::take_rings_back() { change_loan(loan::returned); }

// Returns when the thread has gone along.
void worker::change_loan(loan next) {
  InterlockedExchange(&loan_, static_cast<LONG>(next));
  KeSetEvent(&attention_, IO_NO_INCREMENT, FALSE);
  KeWaitForSingleObject(&loan_changed_, Executive, KernelMode, FALSE, nullptr);
}

void worker::lent_position(uint32_t ring, uint64_t& position, uint64_t& announced) const {
  const bool attached = ring < lent_rings_;
  position = attached ? readers_[ring].released() : channel_->options().start_position;
  announced = attached && ring % lanes_per_cpu == lane_main ? announced_[ring / lanes_per_cpu] : 0;
}

// True: the rings are not this thread's to merge, or were not until now.
bool worker::serve_loan() {
  switch (static_cast<loan>(InterlockedCompareExchange(&loan_, 0, 0))) {
    case loan::none: return false;
    case loan::asked:
      (void)complete_batch();
      // What was given back is the kernel's own from here on: no claim of the borrower's can bring it back. What was set aside, or is
      // announced in what comes again, is the borrower's, as it is the worker's afterwards.
      take_over();
      lent_rings_ = attached_cpus_ * lanes_per_cpu;
      lent_ = true;
      InterlockedExchange(&loan_, static_cast<LONG>(loan::lent));
      KeSetEvent(&loan_changed_, IO_NO_INCREMENT, FALSE);
      break;
    case loan::lent: rest_while_lent(); break;
    case loan::returned:
      take_over();
      lent_ = false;
      InterlockedExchange(&loan_, static_cast<LONG>(loan::none));
      KeSetEvent(&loan_changed_, IO_NO_INCREMENT, FALSE);
      break;
  }
  return true;
}

void worker::rest_while_lent() {
  keep_anchored();
  const bool copied = serve_ring_copy();
  const bool counted = serve_statistics();
  if (copied || counted) return;
  if (wait(0)) {
    events_flow_ = true;
    listener_.closed(listener_.context);
  }
}

VOID NTAPI worker::take_over_on_cpu(PKDPC, PVOID context, PVOID, PVOID) {
  cpu_snapshot& to = *static_cast<cpu_snapshot*>(context);
  kernel_rings& rings = to.self->channel_->rings(to.cpu);
  for (uint32_t step = 0; step < steps_of_take_over && !to.settled; ++step) to.settled = rings.settle();
  if (to.settled) to.taken_over = rings.restart_consumer();
  KeSetEvent(&to.done, IO_NO_INCREMENT, FALSE);
}

void worker::take_over() {
  PAGED_CODE();
  channel_->wake().announce(announcement::running);
  KeClearEvent(&closed_);
  attach_rings();
  for (uint32_t cpu = 0; cpu < attached_cpus_; ++cpu) {
    const bool ran = run_on_cpu(cpu, &take_over_on_cpu);
    const kernel_rings::restart& from = snapshot_[0].taken_over;
    for (uint32_t lane = 0; lane < lanes_per_cpu; ++lane) {
      if (ran) {
        readers_[cpu * lanes_per_cpu + lane].resume(from.begins[lane]);
      } else {
        // It does not run yet and has written nothing; what stands there is a client's.
        const region_view<native_seam>& region = channel_->region(cpu, lane);
        // SYNC POINT release_consumed -> observe_consumed
        region.consumer->consumed.store(region.start_position, order::release_consumed);
      }
    }
    if (ran) announced_[cpu] = from.announced - announced_in_rings(cpu);
  }
}

// Of LOSS records that will be read again.
uint64_t worker::announced_in_rings(uint32_t cpu) {
  uint64_t events = 0;
  for (uint32_t lane = 0; lane < lanes_per_cpu; ++lane) {
    (void)readers_[cpu * lanes_per_cpu + lane].walk(
        snapshot_[0].taken_over.where.reclaimed[lane], snapshot_[0].taken_over.where.written[lane],
        [&](uint16_t type, const ring_head& head, const uint8_t* payload) {
          if (type != record_type_loss || head.state != head_state::committed) return;
          loss_payload loss;
          copy_bytes(&loss, payload, sizeof loss);
          events += loss.events;
        });
  }
  return events;
}

}  // namespace sluice
