#include "kernel_port/driver/request_queue.h"

namespace sluice {

void request_queue::start() {
  InitializeListHead(&requests_);
  KeInitializeSpinLock(&lock_);
  IoCsqInitialize(&queue_, &insert_irp, &remove_irp, &peek_next_irp, &acquire_lock, &release_lock, &complete_cancelled);
}

VOID NTAPI request_queue::insert_irp(PIO_CSQ queue, PIRP irp) {
  InsertTailList(&from(queue).requests_, &irp->Tail.Overlay.ListEntry);
}

VOID NTAPI request_queue::remove_irp(PIO_CSQ, PIRP irp) { RemoveEntryList(&irp->Tail.Overlay.ListEntry); }

PIRP NTAPI request_queue::peek_next_irp(PIO_CSQ queue, PIRP irp, PVOID file) {
  LIST_ENTRY& head = from(queue).requests_;
  PLIST_ENTRY entry = irp != nullptr ? irp->Tail.Overlay.ListEntry.Flink : head.Flink;
  for (; entry != &head; entry = entry->Flink) {
    PIRP const candidate = CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry);
    if (file == nullptr || IoGetCurrentIrpStackLocation(candidate)->FileObject == file) return candidate;
  }
  return nullptr;
}

VOID NTAPI request_queue::acquire_lock(PIO_CSQ queue, PKIRQL irql) { KeAcquireSpinLock(&from(queue).lock_, irql); }

VOID NTAPI request_queue::release_lock(PIO_CSQ queue, KIRQL irql) { KeReleaseSpinLock(&from(queue).lock_, irql); }

VOID NTAPI request_queue::complete_cancelled(PIO_CSQ, PIRP irp) { complete(irp, STATUS_CANCELLED); }

}  // namespace sluice
