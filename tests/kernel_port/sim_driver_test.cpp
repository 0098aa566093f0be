#include "tests/kernel_port/sim_test_support.h"

extern "C" DRIVER_INITIALIZE SimCDriverEntry;

namespace sluice::sim {
namespace {

struct driver : testing::Test {
  machine system{{.processors = 2}};
  scripted_driver script;

  NTSTATUS load(std::function<NTSTATUS(PDRIVER_OBJECT)> entry, std::function<void()> unload = {}) {
    scripted_driver::on_entry = [entry](PDRIVER_OBJECT object, PUNICODE_STRING) { return entry(object); };
    scripted_driver::on_unload = [unload](PDRIVER_OBJECT) {
      if (unload) unload();
    };
    return system.load_driver("test", scripted_driver::entry);
  }
  NTSTATUS unload() { return system.unload_driver("test"); }
  void load_and_unload(std::function<void()> entry) {
    load([entry](PDRIVER_OBJECT) {
      entry();
      return STATUS_SUCCESS;
    });
    unload();
  }
};
using driver_death_test = driver;

TEST_F(driver, enters_in_the_system_process_with_its_registry_path) {
  scripted_driver::on_entry = [](PDRIVER_OBJECT object, PUNICODE_STRING path) {
    EXPECT_EQ(PsGetCurrentProcessId(), id(4));
    EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    const UNICODE_STRING expected = unicode_literal(u"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\test");
    EXPECT_TRUE(RtlEqualUnicodeString(path, &expected, FALSE));
    const UNICODE_STRING name = unicode_literal(u"\\Driver\\test");
    EXPECT_TRUE(RtlEqualUnicodeString(&object->DriverName, &name, FALSE));
    return STATUS_SUCCESS;
  };
  EXPECT_EQ(system.load_driver("test", scripted_driver::entry), STATUS_SUCCESS);
  EXPECT_EQ(system.load_driver("test", scripted_driver::entry), STATUS_IMAGE_ALREADY_LOADED);
  EXPECT_EQ(unload(), STATUS_SUCCESS);
  EXPECT_EQ(unload(), STATUS_OBJECT_NAME_NOT_FOUND);
}

TEST_F(driver, written_in_c_compiles_and_runs) {
  EXPECT_EQ(system.load_driver("c", SimCDriverEntry), STATUS_SUCCESS);
  EXPECT_EQ(system.in_use().pool_blocks, 1u);
  EXPECT_EQ(system.unload_driver("c"), STATUS_SUCCESS);
  EXPECT_EQ(system.in_use().pool_blocks, 0u);
  EXPECT_EQ(system.in_use().devices, 0u);
}

TEST_F(driver, that_fails_to_load_is_not_there) {
  EXPECT_EQ(load([](PDRIVER_OBJECT) { return STATUS_INSUFFICIENT_RESOURCES; }), STATUS_INSUFFICIENT_RESOURCES);
  EXPECT_EQ(unload(), STATUS_OBJECT_NAME_NOT_FOUND);
  system.fail_call(machine::failure::driver_object, 1);
  EXPECT_EQ(load([](PDRIVER_OBJECT) { return STATUS_SUCCESS; }), STATUS_INSUFFICIENT_RESOURCES);
}

TEST_F(driver, without_an_unload_routine_stays) {
  PDRIVER_OBJECT object = nullptr;
  load([&](PDRIVER_OBJECT given) {
    object = given;
    given->DriverUnload = nullptr;
    return STATUS_SUCCESS;
  });
  EXPECT_EQ(unload(), STATUS_INVALID_DEVICE_REQUEST);
  object->DriverUnload = scripted_driver::unload;
  EXPECT_EQ(unload(), STATUS_SUCCESS);
}

TEST(driver_at_the_end_death_test, a_machine_is_not_switched_off_with_a_driver_loaded) {
  EXPECT_DEATH(
      {
        machine system;
        system.load_driver("test", scripted_driver::entry);
      },
      "switched off with driver test loaded");
}

KTIMER left_timer;
VOID left_process_routine(HANDLE, HANDLE, BOOLEAN) {}

TEST_F(driver_death_test, that_leaves_pool_is_a_bug_check) {
  EXPECT_DEATH(load_and_unload([] { ExAllocatePoolWithTag(NonPagedPool, 100, 'kaeL'); }),
               "Not freed: .* 100 bytes of non-paged pool, tag 'Leak'\n(.|\n)*STOP: 0x000000C4 \\(0x0+62, .*, 0x0+1\\)");
}

TEST_F(driver_death_test, that_leaves_a_notify_routine_is_a_bug_check) {
  EXPECT_BUG_CHECK_SAYING(load_and_unload([] { PsSetCreateProcessNotifyRoutine(left_process_routine, FALSE); }),
                          "DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS", "notify routine");
}

TEST_F(driver_death_test, that_leaves_a_timer_is_a_bug_check) {
  EXPECT_BUG_CHECK_SAYING(load_and_unload([] {
                            KeInitializeTimer(&left_timer);
                            KeSetTimer(&left_timer, milliseconds(3'600'000), nullptr);
                          }),
                          "TIMER_OR_DPC_INVALID", "timer");
}

TEST_F(driver_death_test, that_leaves_a_system_thread_is_a_bug_check) {
  EXPECT_BUG_CHECK_SAYING(load_and_unload([] {
                            HANDLE handle;
                            PsCreateSystemThread(&handle, 0, nullptr, nullptr, nullptr, [](PVOID) {
                              LARGE_INTEGER hour = milliseconds(3'600'000);
                              KeDelayExecutionThread(KernelMode, FALSE, &hour);
                            }, nullptr);
                            ZwClose(handle);
                          }),
                          "DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS", "system thread");
}

TEST_F(driver_death_test, that_leaves_a_device_is_a_bug_check) {
  EXPECT_BUG_CHECK_SAYING(
      {
        load([](PDRIVER_OBJECT object) {
          PDEVICE_OBJECT device;
          return IoCreateDevice(object, 0, nullptr, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
        });
        unload();
      },
      "DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS", "device");
}

TEST_F(driver_death_test, that_fails_to_load_and_leaves_pool_is_a_bug_check) {
  EXPECT_BUG_CHECK_SAYING(load([](PDRIVER_OBJECT) {
                            ExAllocatePoolWithTag(NonPagedPool, 100, 'kaeL');
                            return STATUS_UNSUCCESSFUL;
                          }),
                          "DRIVER_VERIFIER_DETECTED_VIOLATION", "failed to load");
}

TEST_F(driver_death_test, that_returns_raised_is_a_bug_check) {
  EXPECT_BUG_CHECK_SAYING(load_and_unload([] { KeRaiseIrqlToDpcLevel(); }), "IRQL_UNEXPECTED_VALUE", "DriverEntry");
}

TEST_F(driver, runs_work_items_at_passive_level_in_a_system_thread) {
  static PDEVICE_OBJECT device;
  static PIO_WORKITEM item;
  static KEVENT done;
  static std::atomic<KIRQL> irql;
  static std::atomic<HANDLE> pid;
  load([](PDRIVER_OBJECT object) {
    KeInitializeEvent(&done, NotificationEvent, FALSE);
    const NTSTATUS status = IoCreateDevice(object, 0, nullptr, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    item = IoAllocateWorkItem(device);
    const KIRQL old = KeRaiseIrqlToDpcLevel();
    IoQueueWorkItem(item, [](PDEVICE_OBJECT, PVOID context) {
      irql = KeGetCurrentIrql();
      pid = PsGetCurrentProcessId();
      EXPECT_EQ(context, &done);
      KeSetEvent(&done, 0, FALSE);
    }, DelayedWorkQueue, &done);
    KeLowerIrql(old);
    return status;
  }, [] {
    KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, nullptr);
    IoFreeWorkItem(item);
    IoDeleteDevice(device);
  });
  EXPECT_EQ(unload(), STATUS_SUCCESS);
  EXPECT_EQ(irql, PASSIVE_LEVEL);
  EXPECT_EQ(pid, id(4));
}

}  // namespace
}  // namespace sluice::sim
