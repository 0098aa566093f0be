// Requests that pend: cancel-safe queues, cancellation, timeouts, cleanup.
#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

// A driver that queues every read, as real ones do.
struct queueing {
  static inline PDEVICE_OBJECT device;
  static inline IO_CSQ queue;
  static inline LIST_ENTRY list;
  static inline KSPIN_LOCK lock;
  static inline bool cleanup_completes = true;

  static VOID insert(PIO_CSQ, PIRP irp) { InsertTailList(&list, &irp->Tail.Overlay.ListEntry); }
  static VOID remove(PIO_CSQ, PIRP irp) { RemoveEntryList(&irp->Tail.Overlay.ListEntry); }
  static PIRP peek(PIO_CSQ, PIRP irp, PVOID file_object) {
    PLIST_ENTRY entry = irp ? irp->Tail.Overlay.ListEntry.Flink : list.Flink;
    for (; entry != &list; entry = entry->Flink) {
      PIRP next = CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry);
      if (!file_object || IoGetCurrentIrpStackLocation(next)->FileObject == file_object) return next;
    }
    return nullptr;
  }
  static VOID acquire(PIO_CSQ, PKIRQL irql) { KeAcquireSpinLock(&lock, irql); }
  static VOID release(PIO_CSQ, KIRQL irql) { KeReleaseSpinLock(&lock, irql); }
  static VOID complete_cancelled(PIO_CSQ, PIRP irp) { complete(irp, STATUS_CANCELLED); }

  static NTSTATUS complete(PIRP irp, NTSTATUS status, ULONG_PTR information = 0) {
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
  }
  // One queued read gets a byte; false if there is none.
  static bool answer(uint8_t value) {
    PIRP irp = IoCsqRemoveNextIrp(&queue, nullptr);
    if (!irp) return false;
    *static_cast<uint8_t*>(irp->AssociatedIrp.SystemBuffer) = value;
    complete(irp, STATUS_SUCCESS, 1);
    return true;
  }
  static bool queued() {
    KIRQL irql;
    KeAcquireSpinLock(&lock, &irql);
    const bool any = !IsListEmpty(&list);
    KeReleaseSpinLock(&lock, irql);
    return any;
  }
  static NTSTATUS dispatch(PDEVICE_OBJECT, PIRP irp) {
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    if (stack->MajorFunction == IRP_MJ_READ) {
      IoCsqInsertIrp(&queue, irp, nullptr);
      return STATUS_PENDING;
    }
    if (stack->MajorFunction == IRP_MJ_CLEANUP && cleanup_completes) {
      while (PIRP pending = IoCsqRemoveNextIrp(&queue, stack->FileObject)) complete(pending, STATUS_CANCELLED);
    }
    return complete(irp, STATUS_SUCCESS);
  }
  static NTSTATUS entry(PDRIVER_OBJECT driver, PUNICODE_STRING) {
    UNICODE_STRING name = unicode_literal(u"\\Device\\Queue"), link = unicode_literal(u"\\DosDevices\\Queue");
    InitializeListHead(&list);
    KeInitializeSpinLock(&lock);
    IoCsqInitialize(&queue, insert, remove, peek, acquire, release, complete_cancelled);
    IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    device->Flags |= DO_BUFFERED_IO;
    for (PDRIVER_DISPATCH& routine : driver->MajorFunction) routine = dispatch;
    driver->DriverUnload = unload;
    return IoCreateSymbolicLink(&link, &name);
  }
  static VOID unload(PDRIVER_OBJECT) {
    UNICODE_STRING link = unicode_literal(u"\\DosDevices\\Queue");
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(device);
  }
};

struct request : testing::Test {
  machine system{{.processors = 2}};
  file handle;
  std::vector<uint8_t> buffer = std::vector<uint8_t>(16);
  uint64_t bytes = 0;

  request() {
    queueing::cleanup_completes = true;
    EXPECT_EQ(system.load_driver("queue", queueing::entry), STATUS_SUCCESS);
    EXPECT_EQ(handle.open(system, u"Queue", 300), STATUS_SUCCESS);
  }
  ~request() override {
    handle.close();
    EXPECT_EQ(system.unload_driver("queue"), STATUS_SUCCESS);
  }
};
using request_death_test = request;

TEST_F(request, pends_until_the_driver_completes_it) {
  std::thread answering([&] {
    activity thread(system, 1, 4, 40);
    eventually([] { return queueing::answer(42); });
  });
  EXPECT_EQ(handle.read(buffer, bytes), STATUS_SUCCESS);
  EXPECT_EQ(bytes, 1u);
  EXPECT_EQ(buffer[0], 42);
  answering.join();
}

TEST_F(request, times_out_by_being_cancelled) {
  EXPECT_EQ(handle.read(buffer, bytes, std::chrono::milliseconds(5)), STATUS_TIMEOUT);
  activity thread(system, 1, 300, 40);
  EXPECT_FALSE(queueing::queued());
}

TEST_F(request, is_cancelled_from_another_thread) {
  NTSTATUS status = STATUS_SUCCESS;
  std::thread reader([&] { status = handle.read(buffer, bytes); });
  {
    activity thread(system, 1, 4, 40);
    eventually([] { return queueing::queued(); });
    handle.cancel();
    reader.join();
  }
  EXPECT_EQ(status, STATUS_CANCELLED);
}

TEST_F(request, cancellation_and_completion_may_race_and_nothing_is_lost) {
  constexpr int rounds = 400;
  std::atomic<bool> stop{false};
  std::atomic<int> answered{0};
  std::thread answering([&] {
    activity thread(system, 1, 4, 40);
    while (!stop) answered += queueing::answer(7);
  });
  int received = 0, cancelled = 0;
  for (int i = 0; i < rounds; ++i) {
    const NTSTATUS status = handle.read(buffer, bytes, std::chrono::microseconds(i % 30));
    if (status == STATUS_SUCCESS) {
      EXPECT_EQ(bytes, 1u);
      ++received;
    } else {
      EXPECT_EQ(status, STATUS_TIMEOUT);
      ++cancelled;
    }
  }
  stop = true;
  answering.join();
  EXPECT_EQ(received, answered) << "what the driver gave, the reader got";
  EXPECT_EQ(received + cancelled, rounds);
}

TEST_F(request, cleanup_completes_what_pends) {
  NTSTATUS status = STATUS_SUCCESS;
  std::thread reader([&] { status = handle.read(buffer, bytes); });
  {
    activity thread(system, 1, 4, 40);
    eventually([] { return queueing::queued(); });
  }
  handle.close();
  reader.join();
  EXPECT_EQ(status, STATUS_CANCELLED);
}

TEST_F(request, a_context_names_one_queued_request) {
  // With the queue's own interface, without a handle.
  static IO_CSQ_IRP_CONTEXT context;
  IO_STACK_LOCATION stack{};
  IRP irp{};
  irp.Tail.Overlay.CurrentStackLocation = &stack;
  activity thread(system, 1, 300, 40);
  IoCsqInsertIrp(&queueing::queue, &irp, &context);
  EXPECT_TRUE(stack.Control & SL_PENDING_RETURNED);
  EXPECT_NE(irp.CancelRoutine, nullptr);
  EXPECT_EQ(IoCsqRemoveIrp(&queueing::queue, &context), &irp);
  EXPECT_EQ(IoCsqRemoveIrp(&queueing::queue, &context), nullptr);
  EXPECT_EQ(irp.CancelRoutine, nullptr);
}

TEST_F(request, one_that_is_being_cancelled_is_given_to_nobody_else) {
  IO_STACK_LOCATION stack{};
  IRP irp{};
  irp.Tail.Overlay.CurrentStackLocation = &stack;
  activity thread(system, 1, 300, 40);
  IoCsqInsertIrp(&queueing::queue, &irp, nullptr);
  // What IoCancelIrp does first: from here the request is the canceller's.
  const PDRIVER_CANCEL routine = IoSetCancelRoutine(&irp, nullptr);
  EXPECT_EQ(IoCsqRemoveNextIrp(&queueing::queue, nullptr), nullptr);
  IoSetCancelRoutine(&irp, routine);
  EXPECT_EQ(IoCsqRemoveNextIrp(&queueing::queue, nullptr), &irp);
}

TEST_F(request_death_test, left_pending_by_cleanup_is_a_bug_check) {
  EXPECT_DEATH(
      {
        queueing::cleanup_completes = false;
        std::thread reader([&] { handle.read(buffer, bytes); });
        {
          activity thread(system, 1, 4, 40);
          eventually([] { return queueing::queued(); });
        }
        handle.close();
        reader.join();
      },
      "STOP: 0x000000C4 \\(0x0+135,");
}

TEST_F(request_death_test, a_cancel_routine_releases_the_cancel_lock) {
  EXPECT_BUG_CHECK_SAYING(
      {
        activity thread(system, 0, 300, 40);
        IO_STACK_LOCATION stack{};
        IRP irp{};
        irp.Tail.Overlay.CurrentStackLocation = &stack;
        IoSetCancelRoutine(&irp, [](PDEVICE_OBJECT, PIRP) {});
        IoCancelIrp(&irp);
      },
      "IRQL_UNEXPECTED_VALUE", "cancel routine");
}

}  // namespace
}  // namespace sluice::sim
