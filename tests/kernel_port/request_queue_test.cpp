// The driver's cancel-safe queue (kernel_port/driver/request_queue.h), in a driver that does nothing else.
#include "kernel_port/driver/request_queue.h"

#include <mutex>

#include "tests/kernel_port/sim_test_support.h"

namespace sluice::test {
namespace {

using sim::activity;

struct queueing {
  static inline request_queue* queue;
  static inline PDEVICE_OBJECT device;
  static inline std::atomic<bool> cancel_first;
  static inline std::atomic<uint32_t> inserted;

  static NTSTATUS dispatch(PDEVICE_OBJECT, PIRP irp) {
    const PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    if (stack->MajorFunction == IRP_MJ_READ) {
      if (cancel_first) IoCancelIrp(irp);
      queue->insert(irp);
      ++inserted;
      return STATUS_PENDING;
    }
    if (stack->MajorFunction == IRP_MJ_CLEANUP) queue->cancel(stack->FileObject);
    return complete(irp, STATUS_SUCCESS);
  }
  static NTSTATUS entry(PDRIVER_OBJECT driver, PUNICODE_STRING) {
    UNICODE_STRING name = unicode_literal(u"\\Device\\Queue"), link = unicode_literal(u"\\DosDevices\\Queue");
    queue->start();
    cancel_first = false;
    inserted = 0;
    (void)IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
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
  // The next request of `file` gets a byte; false if there is none.
  static bool answer(uint8_t value, PFILE_OBJECT file = nullptr) {
    PIRP const irp = queue->remove(file);
    if (irp == nullptr) return false;
    *static_cast<uint8_t*>(irp->AssociatedIrp.SystemBuffer) = value;
    complete(irp, STATUS_SUCCESS, 1);
    return true;
  }
};

// What became of requests that nobody waits for.
struct answers final : sim::completion_port {
  struct one {
    uint64_t key;
    NTSTATUS status;
    std::vector<uint8_t> bytes;
  };
  void completed(uint64_t key, NTSTATUS status, std::span<const uint8_t> bytes) noexcept override {
    const std::lock_guard lock(mutex);
    all.push_back({key, status, {bytes.begin(), bytes.end()}});
  }
  std::vector<one> taken() {
    const std::lock_guard lock(mutex);
    return all;
  }
  std::mutex mutex;
  std::vector<one> all;
};

struct waiting_requests : testing::Test {
  request_queue queue;
  sim::machine system{{.processors = 2}};
  sim::file handle, other;
  answers got;

  waiting_requests() {
    queueing::queue = &queue;
    EXPECT_EQ(system.load_driver("queue", queueing::entry), STATUS_SUCCESS);
    EXPECT_EQ(handle.open(system, u"Queue", 300), STATUS_SUCCESS);
    EXPECT_EQ(other.open(system, u"Queue", 400), STATUS_SUCCESS);
  }
  ~waiting_requests() override {
    handle.close();
    other.close();
    EXPECT_EQ(system.unload_driver("queue"), STATUS_SUCCESS);
  }
};

TEST_F(waiting_requests, are_answered_in_the_order_in_which_they_came) {
  for (uint64_t key = 0; key < 3; ++key) handle.begin_read(1, key, got);
  EXPECT_TRUE(got.taken().empty());
  activity thread(system, 1, 4, 40);
  for (uint8_t value = 0; value < 3; ++value) EXPECT_TRUE(queueing::answer(value));
  EXPECT_FALSE(queueing::answer(9));
  const auto all = got.taken();
  ASSERT_EQ(all.size(), 3u);
  for (uint8_t i = 0; i < 3; ++i) {
    EXPECT_EQ(all[i].key, i);
    EXPECT_EQ(all[i].bytes, std::vector<uint8_t>{i});
  }
}

TEST_F(waiting_requests, of_one_handle_end_with_it_and_leave_the_others) {
  handle.begin_read(1, 1, got);
  other.begin_read(1, 2, got);
  handle.close();
  ASSERT_EQ(got.taken().size(), 1u);
  EXPECT_EQ(got.taken()[0].key, 1u);
  EXPECT_EQ(got.taken()[0].status, STATUS_CANCELLED);
  activity thread(system, 1, 4, 40);
  EXPECT_TRUE(queueing::answer(7));
  EXPECT_EQ(got.taken()[1].key, 2u);
}

TEST_F(waiting_requests, that_are_put_back_are_the_oldest_again) {
  for (uint64_t key = 0; key < 3; ++key) handle.begin_read(1, key, got);
  activity thread(system, 1, 4, 40);
  queue.put_back(queue.remove());
  for (uint8_t value = 0; value < 3; ++value) EXPECT_TRUE(queueing::answer(value));
  const auto all = got.taken();
  ASSERT_EQ(all.size(), 3u);
  for (uint8_t i = 0; i < 3; ++i) EXPECT_EQ(all[i].key, i);
}

TEST_F(waiting_requests, that_are_cancelled_before_they_are_put_back_are_cancelled_then) {
  handle.begin_read(1, 5, got);
  activity thread(system, 1, 4, 40);
  PIRP const irp = queue.remove();
  handle.cancel(5);
  EXPECT_TRUE(got.taken().empty()) << "whoever removed it completes it";
  queue.put_back(irp);
  ASSERT_EQ(got.taken().size(), 1u);
  EXPECT_EQ(got.taken()[0].status, STATUS_CANCELLED);
  EXPECT_FALSE(queueing::answer(1));
}

TEST_F(waiting_requests, are_cancelled_wherever_they_stand) {
  for (uint64_t key = 0; key < 3; ++key) handle.begin_read(1, key, got);
  handle.cancel(1);
  ASSERT_EQ(got.taken().size(), 1u);
  EXPECT_EQ(got.taken()[0].key, 1u);
  EXPECT_EQ(got.taken()[0].status, STATUS_CANCELLED);
  activity thread(system, 1, 4, 40);
  EXPECT_TRUE(queueing::answer(0));
  EXPECT_TRUE(queueing::answer(2));
  EXPECT_FALSE(queueing::answer(9));
  EXPECT_EQ(got.taken()[1].key, 0u);
  EXPECT_EQ(got.taken()[2].key, 2u);
}

TEST_F(waiting_requests, that_are_cancelled_before_they_wait_do_not) {
  queueing::cancel_first = true;
  uint64_t bytes = 0;
  std::vector<uint8_t> buffer(1);
  EXPECT_EQ(handle.read(buffer, bytes), STATUS_CANCELLED);
  activity thread(system, 1, 4, 40);
  EXPECT_FALSE(queueing::answer(1));
}

TEST_F(waiting_requests, that_are_being_cancelled_are_given_to_nobody_else) {
  IO_STACK_LOCATION stack{};
  IRP irp{};
  irp.Tail.Overlay.CurrentStackLocation = &stack;
  activity thread(system, 1, 300, 40);
  queue.insert(&irp);
  EXPECT_TRUE(stack.Control & SL_PENDING_RETURNED);
  const PDRIVER_CANCEL routine = IoSetCancelRoutine(&irp, nullptr);  // what IoCancelIrp does: from here it is the canceller's
  ASSERT_NE(routine, nullptr);
  EXPECT_EQ(queue.remove(), nullptr);
  IoSetCancelRoutine(&irp, routine);
  EXPECT_EQ(queue.remove(), &irp);
  EXPECT_EQ(irp.CancelRoutine, nullptr);
}

TEST_F(waiting_requests, are_answered_or_cancelled_and_never_both_nor_lost) {
  constexpr int rounds = 400;
  std::atomic<bool> stop{false};
  std::atomic<int> answered{0};
  std::thread answering([&] {
    activity thread(system, 1, 4, 40);
    while (!stop) answered += queueing::answer(7);
  });
  int received = 0, cancelled = 0;
  std::vector<uint8_t> buffer(1);
  uint64_t bytes = 0;
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
  EXPECT_EQ(received, answered);
  EXPECT_EQ(received + cancelled, rounds);
}

}  // namespace
}  // namespace sluice::test
