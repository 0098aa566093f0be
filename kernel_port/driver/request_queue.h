// Requests of clients that wait for the worker: a cancel-safe queue. A cancelled request completes with
// STATUS_CANCELLED, wherever it stands in the queue. Up to DISPATCH_LEVEL.
#pragma once

#include "producers/scopes.h"

namespace sluice {

inline NTSTATUS complete(PIRP irp, NTSTATUS status, ULONG_PTR information = 0) {
  irp->IoStatus.Status = status;
  irp->IoStatus.Information = information;
  IoCompleteRequest(irp, IO_NO_INCREMENT);
  return status;
}

class request_queue {
 public:
  request_queue() = default;
  request_queue(const request_queue&) = delete;
  request_queue& operator=(const request_queue&) = delete;

  void start();
  // Marks the request pending; the caller returns STATUS_PENDING from its dispatch routine.
  void insert(PIRP irp) { IoCsqInsertIrp(&queue_, irp, nullptr); }
  // The oldest request of `file`, or of anyone if null. The caller completes it.
  PIRP remove(PFILE_OBJECT file = nullptr) { return IoCsqRemoveNextIrp(&queue_, file); }
  // Completes all requests of `file`, or of everyone.
  void cancel(PFILE_OBJECT file = nullptr) {
    while (PIRP irp = remove(file)) complete(irp, STATUS_CANCELLED);
  }

 private:
  static request_queue& from(PIO_CSQ queue) { return *CONTAINING_RECORD(queue, request_queue, queue_); }
  static VOID NTAPI insert_irp(PIO_CSQ queue, PIRP irp);
  static VOID NTAPI remove_irp(PIO_CSQ queue, PIRP irp);
  static PIRP NTAPI peek_next_irp(PIO_CSQ queue, PIRP irp, PVOID file);
  static VOID NTAPI acquire_lock(PIO_CSQ queue, PKIRQL irql);
  static VOID NTAPI release_lock(PIO_CSQ queue, KIRQL irql);
  static VOID NTAPI complete_cancelled(PIO_CSQ queue, PIRP irp);

  IO_CSQ queue_{};
  LIST_ENTRY requests_{};
  KSPIN_LOCK lock_{};
};

}  // namespace sluice
