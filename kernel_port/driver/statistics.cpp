// The worker's answer to a statistics request: R3 for every type and CPU.
//
// The worker is the consumer, so while it collects nothing is released. A DPC on each CPU lets the ring's private cursor
// catch up with what is released, a bounded number of headers at a time, and copies the account in the CPU's section; the
// worker then walks what lies between that cursor and the write position of the same moment. So each row is exact, also
// under load. In overwrite mode, and while a client has mapped the rings, nobody here holds back the producer, so the DPC walks that itself: all the headers of two rings in one
// section (some 10 us for each 1,000 records).
#include "kernel_port/driver/worker.h"

namespace sluice {

NTSTATUS worker::statistics_now(void* buffer, uint32_t size, uint32_t& written) {
  PAGED_CODE();
  statistics_call call{buffer, size, 0, STATUS_SUCCESS, {}};
  KeInitializeEvent(&call.done, NotificationEvent, FALSE);
  ExAcquireFastMutex(&statistics_mutex_);
  InterlockedExchangePointer(reinterpret_cast<PVOID volatile*>(&statistics_call_), &call);
  KeSetEvent(&attention_, IO_NO_INCREMENT, FALSE);
  KeWaitForSingleObject(&call.done, Executive, KernelMode, FALSE, nullptr);
  ExReleaseFastMutex(&statistics_mutex_);
  written = call.written;
  return call.status;
}

bool worker::serve_statistics() {
  if (void* const waiting = InterlockedExchangePointer(reinterpret_cast<PVOID volatile*>(&statistics_call_), nullptr)) {
    statistics_call& call = *static_cast<statistics_call*>(waiting);
    call.status = collect_statistics(call.buffer, call.size, call.written);
    KeSetEvent(&call.done, IO_NO_INCREMENT, FALSE);
    return true;
  }
  PIRP const irp = statistics_.remove();
  if (irp == nullptr) return false;
  const PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
  uint32_t written = 0;
  const NTSTATUS status = collect_statistics(irp->AssociatedIrp.SystemBuffer,
                                             stack->Parameters.DeviceIoControl.OutputBufferLength, written);
  complete(irp, status, written);
  return true;
}

VOID NTAPI worker::snapshot_on_cpu(PKDPC, PVOID context, PVOID, PVOID) {
  cpu_snapshot& to = *static_cast<cpu_snapshot*>(context);
  kernel_rings& rings = to.self->channel_->rings(to.cpu);
  to.settled = to.self->lent_ || rings.settle();  // a client may give back faster than this follows
  if (to.settled) {
    to.where = rings.where();
    to.violations = rings.violations();
    const event_filter& filter = to.self->channel_->filter();
    for (uint32_t type = 0; type < max_record_types; ++type) {
      to.rows[type] = rings.row(type);
      to.filtered[type] = filter.row(to.cpu, type);
    }
    if (to.self->nobody_holds_back_producers()) to.self->add_what_lies_in_the_rings();
  }
  KeSetEvent(&to.done, IO_NO_INCREMENT, FALSE);
}

bool worker::snapshot(uint32_t cpu) {
  if (!run_on_cpu(cpu, &snapshot_on_cpu)) return false;
  if (!nobody_holds_back_producers()) add_what_lies_in_the_rings();
  return true;
}

// False: the CPU does not run yet. It has written nothing.
bool worker::run_on_cpu(uint32_t cpu, PKDEFERRED_ROUTINE routine) {
  cpu_snapshot& from = snapshot_[0];
  from.self = this;
  from.cpu = cpu;
  from.settled = false;
  KeInitializeEvent(&from.done, SynchronizationEvent, FALSE);
  do {
    if (!from.call.start(cpu, routine, &from)) return false;
    dpcs_ran_ = true;
    KeWaitForSingleObject(&from.done, Executive, KernelMode, FALSE, nullptr);
  } while (!from.settled);
  return true;
}

// To the snapshot: the records behind the private cursors. Nobody else uses the readers meanwhile: the worker waits.
void worker::add_what_lies_in_the_rings() {
  cpu_snapshot& from = snapshot_[0];
  for (uint32_t lane = 0; lane < lanes_per_cpu; ++lane) {
    (void)readers_[from.cpu * lanes_per_cpu + lane].walk(
        from.where.reclaimed[lane], from.where.written[lane], [&](uint16_t type, const ring_head& head) {
          account_row& row = from.rows[type % max_record_types];
          switch (head.state) {
            case head_state::committed: ++row.committed; break;
            case head_state::discarded: ++row.discarded; break;
            default: ++row.open; break;
          }
        });
  }
}

NTSTATUS worker::collect_statistics(void* buffer, uint32_t size, uint32_t& written) {
  PAGED_CODE();
  protocol::statistics_header header{};
  if (size < sizeof header) return STATUS_BUFFER_TOO_SMALL;
  header.version = protocol::version;
  header.late_records = merge_.late_records();
  header.overdue_records = overdue_count_;
  header.switched_off = channel_->switched_off();
  uint8_t* const base = static_cast<uint8_t*>(buffer);
  uint32_t end = sizeof header;
  attach_rings();
  for (uint32_t cpu = 0; cpu < attached_cpus_; ++cpu) {
    if (!snapshot(cpu)) continue;
    header.violations += snapshot_[0].violations;
    for (uint32_t type = 0; type < max_record_types; ++type) {
      protocol::statistics_row row{static_cast<uint16_t>(cpu), static_cast<uint16_t>(type), 0,
                                   snapshot_[0].rows[type], {}};
      for (uint32_t i = 0; i < filter_reason_count; ++i) row.filtered[i] = snapshot_[0].filtered[type].filtered[i];
      row.account.attempted += row.filtered_total();  // they were attempted here, and never came to the rings
      if (row.account.attempted == 0) continue;
      ++header.row_count;
      if (size - end < sizeof(protocol::statistics_row)) continue;  // counted: the caller learns what it would take
      copy_bytes(base + end, &row, sizeof row);
      end += sizeof row;
    }
  }
  const bool all = end == sizeof header + header.row_count * sizeof(protocol::statistics_row);
  copy_bytes(base, &header, sizeof header);
  written = all ? end : static_cast<uint32_t>(sizeof header);
  return all ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;  // a warning: the header tells how many rows there are
}

}  // namespace sluice
