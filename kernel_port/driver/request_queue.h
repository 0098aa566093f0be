// Requests of clients that wait for the worker: a cancel-safe queue, by the protocol that Windows documents for cancel routines and with
// nothing else of the kernel, so that it works on each alike. Up to DISPATCH_LEVEL.
//
// Whoever takes a request's cancel routine away completes the request: remove() for its caller, or the kernel, which then calls the
// routine. Either way a request leaves the list under the lock, by the hand of whoever completes it.
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

  _IRQL_requires_max_(DISPATCH_LEVEL)
  void start();
  // Marks the request pending; the caller returns STATUS_PENDING from its dispatch routine. One that is cancelled completes with
  // STATUS_CANCELLED, wherever it stands in the queue.
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void insert(PIRP irp) {
    IoMarkIrpPending(irp);
    place(irp, false);
  }
  // The oldest request of `file`, or of anyone if null. The caller completes it.
  _IRQL_requires_max_(DISPATCH_LEVEL)
  PIRP remove(PFILE_OBJECT file = nullptr);
  // What was removed is the oldest again, if it was not cancelled meanwhile.
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void put_back(PIRP irp) { place(irp, true); }
  // Completes all requests of `file`, or of everyone.
  void cancel(PFILE_OBJECT file = nullptr) {
    while (PIRP irp = remove(file)) complete(irp, STATUS_CANCELLED);
  }

 private:
  _IRQL_requires_(DISPATCH_LEVEL)
  static VOID NTAPI on_cancel(PDEVICE_OBJECT device, PIRP irp);

  _IRQL_requires_max_(DISPATCH_LEVEL)
  void place(PIRP irp, bool first);

  LIST_ENTRY requests_{};
  KSPIN_LOCK lock_{};
};

}  // namespace sluice
