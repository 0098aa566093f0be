#include "kernel_port/driver/request_queue.h"

namespace sluice {
namespace {

// Ours while a request is in a queue.
PVOID& queue_of(PIRP irp) { return irp->Tail.Overlay.DriverContext[0]; }

}  // namespace

void request_queue::start() {
  InitializeListHead(&requests_);
  KeInitializeSpinLock(&lock_);
}

// The kernel says that a request is cancelled and then takes its routine, both under its own lock for that. So whoever sees, under this
// lock, that it is not cancelled, and has set the routine there, will hear of it.
void request_queue::place(PIRP irp, bool first) {
  queue_of(irp) = this;
  bool cancelled = false;
  {
    const spin_lock_scope lock(lock_);
    KIRQL irql;
    IoAcquireCancelSpinLock(&irql);
    cancelled = irp->Cancel != FALSE;
    if (!cancelled) (void)IoSetCancelRoutine(irp, &on_cancel);
    IoReleaseCancelSpinLock(irql);
    if (!cancelled) {
      PLIST_ENTRY const entry = &irp->Tail.Overlay.ListEntry;
      if (first) {
        InsertHeadList(&requests_, entry);
      } else {
        InsertTailList(&requests_, entry);
      }
    }
  }
  if (cancelled) complete(irp, STATUS_CANCELLED);
}

PIRP request_queue::remove(PFILE_OBJECT file) {
  const spin_lock_scope lock(lock_);
  for (PLIST_ENTRY entry = requests_.Flink; entry != &requests_; entry = entry->Flink) {
    PIRP const irp = CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry);
    if (file != nullptr && IoGetCurrentIrpStackLocation(irp)->FileObject != file) continue;
    if (IoSetCancelRoutine(irp, nullptr) == nullptr) continue;  // being cancelled: on_cancel waits for the lock
    RemoveEntryList(entry);
    return irp;
  }
  return nullptr;
}

// With the kernel's lock for cancelling held, which comes after ours elsewhere: first of all it is released.
VOID NTAPI request_queue::on_cancel(PDEVICE_OBJECT, PIRP irp) {
  request_queue& self = *static_cast<request_queue*>(queue_of(irp));
  IoReleaseCancelSpinLock(irp->CancelIrql);
  {
    const spin_lock_scope lock(self.lock_);
    RemoveEntryList(&irp->Tail.Overlay.ListEntry);
  }
  complete(irp, STATUS_CANCELLED);
}

}  // namespace sluice
