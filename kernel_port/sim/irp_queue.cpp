// Cancel-safe queues. The protocol between insertion, removal and cancellation is the documented one: whoever
// takes the cancel routine away owns the request. DriverContext[3] belongs to the queue while the request is
// in it.
#include "kernel_port/sim/check.h"

using namespace sluice::sim;

namespace {

constexpr ULONG queue_type = 1;           // IO_TYPE_CSQ
constexpr ULONG context_type = 2;         // IO_TYPE_CSQ_IRP_CONTEXT
constexpr ULONG extended_queue_type = 3;  // IO_TYPE_CSQ_EX

PVOID& owner_of(PIRP irp) {
  return irp->Tail.Overlay.DriverContext[3];
}

class queue_lock {
 public:
  explicit queue_lock(PIO_CSQ queue) : queue_(queue) { queue_->CsqAcquireLock(queue_, &irql_); }
  ~queue_lock() { unlock(); }
  queue_lock(const queue_lock&) = delete;
  queue_lock& operator=(const queue_lock&) = delete;
  void unlock() {
    if (held_) queue_->CsqReleaseLock(queue_, irql_);
    held_ = false;
  }

 private:
  PIO_CSQ queue_;
  KIRQL irql_ = PASSIVE_LEVEL;
  bool held_ = true;
};

// The queue behind DriverContext[3], which holds either the queue or the caller's context.
PIO_CSQ queue_of(PVOID owner) {
  if (*static_cast<ULONG*>(owner) == context_type) return static_cast<PIO_CSQ_IRP_CONTEXT>(owner)->Csq;
  return static_cast<PIO_CSQ>(owner);
}

void forget(PVOID owner) {
  auto* context = static_cast<PIO_CSQ_IRP_CONTEXT>(owner);
  if (context->Type == context_type) context->Irp = nullptr;
}

VOID cancel_queued(PDEVICE_OBJECT, PIRP irp) {
  IoReleaseCancelSpinLock(irp->CancelIrql);
  PVOID owner = owner_of(irp);
  PIO_CSQ queue = queue_of(owner);
  {
    queue_lock lock(queue);
    queue->CsqRemoveIrp(queue, irp);
    forget(owner);
    owner_of(irp) = nullptr;
  }
  queue->CsqCompleteCanceledIrp(queue, irp);
}

}  // namespace

extern "C" {

NTSTATUS IoCsqInitialize(PIO_CSQ Csq, PIO_CSQ_INSERT_IRP CsqInsertIrp, PIO_CSQ_REMOVE_IRP CsqRemoveIrp,
                         PIO_CSQ_PEEK_NEXT_IRP CsqPeekNextIrp, PIO_CSQ_ACQUIRE_LOCK CsqAcquireLock,
                         PIO_CSQ_RELEASE_LOCK CsqReleaseLock,
                         PIO_CSQ_COMPLETE_CANCELED_IRP CsqCompleteCanceledIrp) {
  *Csq = {queue_type,     CsqInsertIrp,   CsqRemoveIrp,           CsqPeekNextIrp,
          CsqAcquireLock, CsqReleaseLock, CsqCompleteCanceledIrp, nullptr};
  return STATUS_SUCCESS;
}

NTSTATUS IoCsqInitializeEx(PIO_CSQ Csq, PIO_CSQ_INSERT_IRP_EX CsqInsertIrp, PIO_CSQ_REMOVE_IRP CsqRemoveIrp,
                           PIO_CSQ_PEEK_NEXT_IRP CsqPeekNextIrp, PIO_CSQ_ACQUIRE_LOCK CsqAcquireLock,
                           PIO_CSQ_RELEASE_LOCK CsqReleaseLock,
                           PIO_CSQ_COMPLETE_CANCELED_IRP CsqCompleteCanceledIrp) {
  IoCsqInitialize(Csq, reinterpret_cast<PIO_CSQ_INSERT_IRP>(reinterpret_cast<void*>(CsqInsertIrp)),
                  CsqRemoveIrp, CsqPeekNextIrp, CsqAcquireLock, CsqReleaseLock, CsqCompleteCanceledIrp);
  Csq->Type = extended_queue_type;
  return STATUS_SUCCESS;
}

NTSTATUS IoCsqInsertIrpEx(PIO_CSQ Csq, PIRP Irp, PIO_CSQ_IRP_CONTEXT Context, PVOID InsertContext) {
  require_irql_at_most(DISPATCH_LEVEL, "IoCsqInsertIrp");
  PVOID owner = Csq;
  if (Context) {
    *Context = {context_type, Irp, Csq};
    owner = Context;
  }
  bool cancelled = false;
  {
    queue_lock lock(Csq);
    owner_of(Irp) = owner;
    if (Csq->Type == extended_queue_type) {
      const auto insert = reinterpret_cast<PIO_CSQ_INSERT_IRP_EX>(reinterpret_cast<void*>(Csq->CsqInsertIrp));
      const NTSTATUS status = insert(Csq, Irp, InsertContext);
      if (!NT_SUCCESS(status)) {
        owner_of(Irp) = nullptr;
        if (Context) Context->Irp = nullptr;
        return status;
      }
    } else {
      Csq->CsqInsertIrp(Csq, Irp);
    }
    IoMarkIrpPending(Irp);
    IoSetCancelRoutine(Irp, cancel_queued);
    // Cancelled before the routine was there: then nobody else calls it, unless he has just taken it.
    if (__atomic_load_n(&Irp->Cancel, __ATOMIC_SEQ_CST) && IoSetCancelRoutine(Irp, nullptr)) {
      cancelled = true;
      Csq->CsqRemoveIrp(Csq, Irp);
      if (Context) Context->Irp = nullptr;
      owner_of(Irp) = nullptr;
    }
  }
  if (cancelled) Csq->CsqCompleteCanceledIrp(Csq, Irp);
  return STATUS_SUCCESS;
}

VOID IoCsqInsertIrp(PIO_CSQ Csq, PIRP Irp, PIO_CSQ_IRP_CONTEXT Context) {
  IoCsqInsertIrpEx(Csq, Irp, Context, nullptr);
}

PIRP IoCsqRemoveNextIrp(PIO_CSQ Csq, PVOID PeekContext) {
  require_irql_at_most(DISPATCH_LEVEL, "IoCsqRemoveNextIrp");
  queue_lock lock(Csq);
  PIRP irp = nullptr;
  while ((irp = Csq->CsqPeekNextIrp(Csq, irp, PeekContext))) {
    // Without its cancel routine it is being cancelled: it leaves the queue by that way.
    if (!IoSetCancelRoutine(irp, nullptr)) continue;
    Csq->CsqRemoveIrp(Csq, irp);
    forget(owner_of(irp));
    owner_of(irp) = nullptr;
    return irp;
  }
  return nullptr;
}

PIRP IoCsqRemoveIrp(PIO_CSQ Csq, PIO_CSQ_IRP_CONTEXT Context) {
  require_irql_at_most(DISPATCH_LEVEL, "IoCsqRemoveIrp");
  queue_lock lock(Csq);
  PIRP irp = Context->Irp;
  if (!irp || !IoSetCancelRoutine(irp, nullptr)) return nullptr;
  Csq->CsqRemoveIrp(Csq, irp);
  Context->Irp = nullptr;
  owner_of(irp) = nullptr;
  return irp;
}
}
