#include "kernel_port/sim/irp.h"

#include <deque>
#include <new>
#include <unordered_set>

#include "kernel_port/sim/implementation.h"
#include "kernel_port/sim/irql.h"
#include "kernel_port/sim/sanitizers.h"

namespace sluice::sim {
namespace {

struct request_table {
  static constexpr size_t kept = 64;
  internal_mutex mutex;
  std::unordered_set<PIRP> at_driver;  // may be completed
  std::deque<io_request*> buried;
};
// Never destroyed: a program may end with its machine running.
request_table& the_requests = *new request_table;
KSPIN_LOCK cancel_lock;

void bury(io_request* request) {
  internal_lock lock(the_requests.mutex);
  the_requests.at_driver.erase(&request->irp);
  // Null: there was no memory to hold the request itself.
  if (request->irp.Tail.Overlay.Thread != nullptr) dereference_object(request->irp.Tail.Overlay.Thread);
  request->system_buffer.reset();
  try {
    the_requests.buried.push_back(request);
  } catch (const std::bad_alloc&) {
    delete request;  // nobody finds out then who uses it still
    return;
  }
  poison(request, sizeof(*request));
  if (the_requests.buried.size() <= request_table::kept) return;
  io_request* oldest = the_requests.buried.front();
  the_requests.buried.pop_front();
  unpoison(oldest, sizeof(*oldest));
  delete oldest;
}

}  // namespace

std::shared_ptr<io_request> make_request(PFILE_OBJECT file, uint8_t major_function) {
  std::shared_ptr<io_request> request(new io_request, bury);
  IRP& irp = request->irp;
  irp.Type = IO_TYPE_IRP;
  irp.Size = sizeof(IRP) + sizeof(IO_STACK_LOCATION);
  irp.RequestorMode = UserMode;
  irp.StackCount = 1;
  irp.CurrentLocation = 1;
  irp.Tail.Overlay.CurrentStackLocation = &request->stack;
  irp.Tail.Overlay.OriginalFileObject = file;
  irp.Tail.Overlay.Thread = PsGetCurrentThread();
  reference_object(irp.Tail.Overlay.Thread);  // it may have left when the request is completed
  InitializeListHead(&irp.ThreadListEntry);
  request->stack.MajorFunction = major_function;
  request->stack.DeviceObject = file->DeviceObject;
  request->stack.FileObject = file;
  KeInitializeEvent(&request->done, NotificationEvent, FALSE);
  internal_lock lock(the_requests.mutex);
  the_requests.at_driver.insert(&irp);
  return request;
}

void forget_requests() {
  internal_lock lock(the_requests.mutex);
  for (io_request* request : the_requests.buried) {
    unpoison(request, sizeof(*request));
    delete request;
  }
  the_requests.buried.clear();
}

bool is_complete(io_request& request) {
  return KeReadStateEvent(&request.done) != 0;
}

void dispatch(io_request& request) {
  PDEVICE_OBJECT device = request.stack.DeviceObject;
  const PDRIVER_DISPATCH routine = device->DriverObject->MajorFunction[request.stack.MajorFunction];
  the_scheduler.point(point_kind::dispatch);
  NTSTATUS status;
  {
    driver_call checked(static_cast<device_state*>(device->Reserved)->driver,
                        reinterpret_cast<const void*>(routine), "A dispatch routine");
    status = into_driver([&] { return routine(device, &request.irp); });
  }
  const bool marked = request.stack.Control & SL_PENDING_RETURNED;
  if (status == STATUS_PENDING && !marked) {
    stop(bug::DRIVER_VERIFIER_IOMANAGER_VIOLATION, 0x23D, as_argument(&request.irp),
         reinterpret_cast<uint64_t>(routine), 0,
         "A dispatch routine returned STATUS_PENDING for a request it had not marked with IoMarkIrpPending.");
  }
  if (status != STATUS_PENDING && marked) {
    stop(bug::DRIVER_VERIFIER_IOMANAGER_VIOLATION, 0x23E, as_argument(&request.irp),
         reinterpret_cast<uint64_t>(routine), static_cast<uint32_t>(status),
         "A dispatch routine marked a request pending and returned 0x%08X instead of "
         "STATUS_PENDING.",
         static_cast<uint32_t>(status));
  }
  if (status != STATUS_PENDING && !is_complete(request)) {
    stop(bug::DRIVER_VERIFIER_IOMANAGER_VIOLATION, 0x20F, as_argument(&request.irp),
         reinterpret_cast<uint64_t>(routine), static_cast<uint32_t>(status),
         "A dispatch routine returned 0x%08X and has not completed the request.",
         static_cast<uint32_t>(status));
  }
  if (status != STATUS_PENDING && status != request.irp.IoStatus.Status) {
    stop(bug::DRIVER_VERIFIER_IOMANAGER_VIOLATION, 0x20D, as_argument(&request.irp),
         static_cast<uint32_t>(status), static_cast<uint32_t>(request.irp.IoStatus.Status),
         "A dispatch routine returned 0x%08X, but completed the request with 0x%08X.",
         static_cast<uint32_t>(status), static_cast<uint32_t>(request.irp.IoStatus.Status));
  }
}

NTSTATUS invalid_device_request(PDEVICE_OBJECT, PIRP irp) {
  irp->IoStatus.Status = STATUS_INVALID_DEVICE_REQUEST;
  irp->IoStatus.Information = 0;
  IoCompleteRequest(irp, IO_NO_INCREMENT);
  return STATUS_INVALID_DEVICE_REQUEST;
}

}  // namespace sluice::sim

using namespace sluice::sim;

extern "C" {

VOID IofCompleteRequest(PIRP Irp, CCHAR) {
  require_irql_at_most(DISPATCH_LEVEL, "IoCompleteRequest");
  {
    internal_lock lock(the_requests.mutex);
    if (the_requests.at_driver.erase(Irp) == 0) {
      stop(bug::MULTIPLE_IRP_COMPLETE_REQUESTS, as_argument(Irp), 0, 0, 0,
           "IoCompleteRequest for a request that was completed already, or is none.");
    }
  }
  auto& request = *CONTAINING_RECORD(Irp, io_request, irp);
  if (Irp->IoStatus.Status == STATUS_PENDING || Irp->IoStatus.Status == -1) {
    stop(bug::DRIVER_VERIFIER_IOMANAGER_VIOLATION, 0x06, static_cast<uint32_t>(Irp->IoStatus.Status),
         as_argument(Irp), 0, "IoCompleteRequest with status 0x%08X.",
         static_cast<uint32_t>(Irp->IoStatus.Status));
  }
  const auto cancel = __atomic_load_n(&Irp->CancelRoutine, __ATOMIC_SEQ_CST);
  if (cancel) {
    stop(bug::DRIVER_VERIFIER_IOMANAGER_VIOLATION, 0x07, reinterpret_cast<uint64_t>(cancel), as_argument(Irp),
         0, "IoCompleteRequest while the cancel routine is still set.");
  }
  if (request.system_buffer && !NT_ERROR(Irp->IoStatus.Status) &&
      Irp->IoStatus.Information > request.output_limit) {
    stop(bug::PAGE_FAULT_IN_NONPAGED_AREA, as_argument(request.system_buffer.get()) + request.output_limit, 0,
         0, 0,
         "A request was completed with %zu bytes, but its buffer has %zu: Windows would copy beyond it.",
         static_cast<size_t>(Irp->IoStatus.Information), request.output_limit);
  }
  Irp->PendingReturned = (request.stack.Control & SL_PENDING_RETURNED) != 0;
  Irp->CurrentLocation = static_cast<CHAR>(Irp->StackCount + 2);
  const auto finished = request.finished;  // whoever waits may let go of the request as soon as it is signalled
  signal_object(request.done.Header);
  if (finished != nullptr) finished(request);
}

VOID IoAcquireCancelSpinLock(PKIRQL Irql) {
  KeAcquireSpinLock(&cancel_lock, Irql);
}
VOID IoReleaseCancelSpinLock(KIRQL Irql) {
  KeReleaseSpinLock(&cancel_lock, Irql);
}

BOOLEAN IoCancelIrp(PIRP Irp) {
  thread_state& thread = require_irql_at_most(DISPATCH_LEVEL, "IoCancelIrp");
  const KIRQL before = thread.irql;
  KIRQL irql;
  IoAcquireCancelSpinLock(&irql);
  __atomic_store_n(&Irp->Cancel, TRUE, __ATOMIC_SEQ_CST);
  const PDRIVER_CANCEL routine = IoSetCancelRoutine(Irp, nullptr);
  if (!routine) {
    IoReleaseCancelSpinLock(irql);
    return FALSE;
  }
  Irp->CancelIrql = irql;
  PDEVICE_OBJECT device = IoGetCurrentIrpStackLocation(Irp)->DeviceObject;
  into_driver([&] { routine(device, Irp); });  // releases the cancel spin lock
  if (thread.irql != before) {
    stop(bug::IRQL_UNEXPECTED_VALUE,
         static_cast<uint64_t>(thread.irql) << 16 | static_cast<uint64_t>(before) << 8,
         reinterpret_cast<uint64_t>(routine), 0, 0,
         "A cancel routine returned at IRQL %u: it did not release the cancel spin lock to Irp->CancelIrql.",
         thread.irql);
  }
  return TRUE;
}

PEPROCESS IoGetRequestorProcess(PIRP Irp) {
  return Irp->Tail.Overlay.Thread->process;
}
ULONG IoGetRequestorProcessId(PIRP Irp) {
  return Irp->Tail.Overlay.Thread->pid;
}

PVOID MmGetSystemAddressForMdlSafe(PMDL Mdl, ULONG) {
  require_irql_at_most(DISPATCH_LEVEL, "MmGetSystemAddressForMdlSafe");
  return Mdl->MappedSystemVa;
}
}
