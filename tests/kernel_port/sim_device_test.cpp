#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

// A device "Test" whose dispatch routine is the test's; everything else succeeds.
struct device : testing::Test {
  machine system{{.processors = 2}};
  scripted_driver script;
  static inline PDEVICE_OBJECT object;
  static inline std::vector<UCHAR> majors;
  static inline std::function<NTSTATUS(PIRP, PIO_STACK_LOCATION)> on_request;

  static NTSTATUS complete(PIRP irp, NTSTATUS status, ULONG_PTR information = 0) {
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
  }
  static NTSTATUS dispatch(PDEVICE_OBJECT, PIRP irp) {
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    majors.push_back(stack->MajorFunction);
    const bool data = stack->MajorFunction == IRP_MJ_READ || stack->MajorFunction == IRP_MJ_DEVICE_CONTROL;
    if (data && on_request) return on_request(irp, stack);
    return complete(irp, STATUS_SUCCESS);
  }
  void load(bool exclusive = false) {
    scripted_driver::on_entry = [exclusive](PDRIVER_OBJECT driver, PUNICODE_STRING) {
      UNICODE_STRING name = unicode_literal(u"\\Device\\Test"), link = unicode_literal(u"\\DosDevices\\Test");
      NTSTATUS status = IoCreateDevice(driver, 32, &name, FILE_DEVICE_UNKNOWN, 0, exclusive, &object);
      if (!NT_SUCCESS(status)) return status;
      object->Flags |= DO_BUFFERED_IO;
      status = IoCreateSymbolicLink(&link, &name);
      if (!NT_SUCCESS(status)) {
        IoDeleteDevice(object);
        return status;
      }
      for (PDRIVER_DISPATCH& routine : driver->MajorFunction) routine = dispatch;
      return status;
    };
    scripted_driver::on_unload = [](PDRIVER_OBJECT) {
      UNICODE_STRING link = unicode_literal(u"\\??\\Test");  // the same name in its other form
      EXPECT_EQ(IoDeleteSymbolicLink(&link), STATUS_SUCCESS);
      IoDeleteDevice(object);
    };
    majors.clear();
    on_request = nullptr;
    ASSERT_EQ(system.load_driver("test", scripted_driver::entry), STATUS_SUCCESS);
  }
};
using device_death_test = device;

TEST_F(device, a_handle_lives_from_create_to_close) {
  load();
  file handle;
  EXPECT_EQ(handle.open(system, u"Absent", 300), STATUS_OBJECT_NAME_NOT_FOUND);
  EXPECT_EQ(handle.open(system, u"test", 300), STATUS_SUCCESS) << "names are compared without case";
  EXPECT_TRUE(handle.is_open());
  handle.close();
  EXPECT_EQ(majors, (std::vector<UCHAR>{IRP_MJ_CREATE, IRP_MJ_CLEANUP, IRP_MJ_CLOSE}));
  EXPECT_EQ(system.unload_driver("test"), STATUS_SUCCESS);
}

TEST_F(device, requests_come_in_the_callers_process) {
  load();
  on_request = [](PIRP irp, PIO_STACK_LOCATION) {
    EXPECT_EQ(PsGetCurrentProcessId(), id(300));
    EXPECT_EQ(IoGetRequestorProcessId(irp), 300u);
    EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    return complete(irp, STATUS_SUCCESS);
  };
  file handle;
  handle.open(system, u"Test", 300);
  uint64_t bytes;
  EXPECT_EQ(handle.read({}, bytes), STATUS_SUCCESS) << "a zero-length read arrives";
  handle.close();
  system.unload_driver("test");
}

TEST_F(device, a_buffered_read_copies_what_information_says) {
  load();
  on_request = [](PIRP irp, PIO_STACK_LOCATION stack) {
    EXPECT_EQ(stack->Parameters.Read.Length, 10u);
    memcpy(irp->AssociatedIrp.SystemBuffer, "0123456789", 10);
    return complete(irp, STATUS_SUCCESS, 4);
  };
  file handle;
  handle.open(system, u"Test", 300);
  std::vector<uint8_t> buffer(10, '.');
  uint64_t bytes = 0;
  EXPECT_EQ(handle.read(buffer, bytes), STATUS_SUCCESS);
  EXPECT_EQ(bytes, 4u);
  EXPECT_EQ(std::string(buffer.begin(), buffer.end()), "0123......");
  handle.close();
  system.unload_driver("test");
}

TEST_F(device, a_control_passes_in_and_out_through_one_buffer) {
  load();
  static constexpr uint32_t code = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x900, METHOD_BUFFERED, FILE_ANY_ACCESS);
  on_request = [](PIRP irp, PIO_STACK_LOCATION stack) {
    const auto& parameters = stack->Parameters.DeviceIoControl;
    EXPECT_EQ(parameters.IoControlCode, code);
    EXPECT_EQ(parameters.InputBufferLength, 3u);
    EXPECT_EQ(parameters.OutputBufferLength, 2u);
    auto* buffer = static_cast<char*>(irp->AssociatedIrp.SystemBuffer);
    EXPECT_EQ(std::string(buffer, 3), "abc");
    memcpy(buffer, "xy", 2);
    return complete(irp, STATUS_BUFFER_OVERFLOW, 2);
  };
  file handle;
  handle.open(system, u"Test", 300);
  const std::vector<uint8_t> in{'a', 'b', 'c'};
  std::vector<uint8_t> out(2);
  uint64_t bytes = 0;
  EXPECT_EQ(handle.control(code, in, out, bytes), STATUS_BUFFER_OVERFLOW) << "a warning still returns data";
  EXPECT_EQ(bytes, 2u);
  EXPECT_EQ(out, (std::vector<uint8_t>{'x', 'y'}));
  on_request = [](PIRP irp, PIO_STACK_LOCATION) { return complete(irp, STATUS_INVALID_PARAMETER, 2); };
  EXPECT_EQ(handle.control(code, in, out, bytes), STATUS_INVALID_PARAMETER);
  EXPECT_EQ(bytes, 0u) << "an error returns none";
  handle.close();
  system.unload_driver("test");
}

TEST_F(device, that_is_exclusive_opens_once) {
  load(true);
  file first, second;
  EXPECT_EQ(first.open(system, u"Test", 300), STATUS_SUCCESS);
  EXPECT_EQ(second.open(system, u"Test", 301), STATUS_ACCESS_DENIED);
  first.close();
  EXPECT_EQ(second.open(system, u"Test", 301), STATUS_SUCCESS);
  second.close();
  system.unload_driver("test");
}

TEST_F(device, keeps_its_driver_loaded_while_a_handle_is_open) {
  load();
  file handle;
  handle.open(system, u"Test", 300);
  EXPECT_EQ(system.unload_driver("test"), STATUS_DEVICE_BUSY);
  handle.close();
  EXPECT_EQ(system.unload_driver("test"), STATUS_SUCCESS);
  EXPECT_EQ(handle.open(system, u"Test", 300), STATUS_OBJECT_NAME_NOT_FOUND);
}

// Who may open a device: nobody has said, or the list says.
TEST_F(device, is_opened_by_those_whom_its_list_grants_it) {
  scripted_driver::on_entry = [this](PDRIVER_OBJECT driver, PUNICODE_STRING) {
    UNICODE_STRING name = unicode_literal(u"\\Device\\Guarded"), link = unicode_literal(u"\\DosDevices\\Guarded");
    IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &object);
    driver->MajorFunction[IRP_MJ_CREATE] = driver->MajorFunction[IRP_MJ_CLEANUP] = driver->MajorFunction[IRP_MJ_CLOSE] =
        [](PDEVICE_OBJECT, PIRP irp) -> NTSTATUS {
      irp->IoStatus.Status = STATUS_SUCCESS;
      IoCompleteRequest(irp, IO_NO_INCREMENT);
      return STATUS_SUCCESS;
    };
    return IoCreateSymbolicLink(&link, &name);
  };
  scripted_driver::on_unload = [this](PDRIVER_OBJECT) {
    UNICODE_STRING link = unicode_literal(u"\\DosDevices\\Guarded");
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(object);
  };
  ASSERT_EQ(system.load_driver("test", scripted_driver::entry), STATUS_SUCCESS);
  constexpr uint32_t stranger = 54321;
  const auto opens = [&](uint32_t user) {
    file handle;
    return handle.open(system, u"Guarded", 300, user);
  };
  EXPECT_EQ(opens(stranger), STATUS_SUCCESS);

  const activity thread(system, 0, 4, 8);
  struct {
    SID sid;
    ULONG second;
  } everyone{{SID_REVISION, 1, {{0, 0, 0, 0, 0, 1}}, {0}}, 0}, system_sid{{SID_REVISION, 1, {{0, 0, 0, 0, 0, 5}}, {18}}, 0};
  const auto set = [&](ACCESS_MASK open_with, PSID who, ACCESS_MASK access) {
    alignas(ACL) unsigned char memory[64];
    ACL& list = *reinterpret_cast<ACL*>(memory);
    SECURITY_DESCRIPTOR descriptor;
    EXPECT_EQ(RtlCreateAcl(&list, sizeof memory, ACL_REVISION), STATUS_SUCCESS);
    EXPECT_EQ(RtlAddAccessAllowedAce(&list, ACL_REVISION, access, who), STATUS_SUCCESS);
    EXPECT_EQ(RtlCreateSecurityDescriptor(&descriptor, SECURITY_DESCRIPTOR_REVISION), STATUS_SUCCESS);
    EXPECT_EQ(RtlSetDaclSecurityDescriptor(&descriptor, TRUE, &list, FALSE), STATUS_SUCCESS);
    HANDLE handle = nullptr;
    EXPECT_EQ(ObOpenObjectByPointer(object, OBJ_KERNEL_HANDLE, nullptr, open_with, nullptr, KernelMode, &handle), STATUS_SUCCESS);
    const NTSTATUS status = ZwSetSecurityObject(handle, DACL_SECURITY_INFORMATION, &descriptor);
    ZwClose(handle);
    return status;
  };
  EXPECT_EQ(set(READ_CONTROL, &system_sid.sid, FILE_ALL_ACCESS), STATUS_ACCESS_DENIED);  // the handle may not
  EXPECT_EQ(opens(stranger), STATUS_SUCCESS);
  EXPECT_EQ(set(WRITE_DAC, &system_sid.sid, FILE_ALL_ACCESS), STATUS_SUCCESS);
  EXPECT_EQ(opens(0), STATUS_SUCCESS);
  EXPECT_EQ(opens(stranger), STATUS_ACCESS_DENIED);
  EXPECT_EQ(set(WRITE_DAC, &everyone.sid, FILE_GENERIC_READ), STATUS_SUCCESS);  // to read only
  EXPECT_EQ(opens(stranger), STATUS_ACCESS_DENIED);
  EXPECT_EQ(set(WRITE_DAC, &everyone.sid, FILE_ALL_ACCESS), STATUS_SUCCESS);
  EXPECT_EQ(opens(stranger), STATUS_SUCCESS);
  EXPECT_EQ(system.unload_driver("test"), STATUS_SUCCESS);
}

// The flag alone decides: a driver may clear it itself.
TEST_F(device, can_be_opened_in_driver_entry_once_its_flag_is_clear) {
  scripted_driver::on_entry = [this](PDRIVER_OBJECT driver, PUNICODE_STRING) {
    UNICODE_STRING name = unicode_literal(u"\\Device\\Early"), link = unicode_literal(u"\\DosDevices\\Early");
    IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &object);
    IoCreateSymbolicLink(&link, &name);
    driver->MajorFunction[IRP_MJ_CREATE] = driver->MajorFunction[IRP_MJ_CLEANUP] = driver->MajorFunction[IRP_MJ_CLOSE] =
        [](PDEVICE_OBJECT, PIRP irp) -> NTSTATUS {
      irp->IoStatus.Status = STATUS_SUCCESS;
      IoCompleteRequest(irp, IO_NO_INCREMENT);
      return STATUS_SUCCESS;
    };
    object->Flags &= ~static_cast<ULONG>(DO_DEVICE_INITIALIZING);
    {
      file handle;
      EXPECT_EQ(handle.open(system, u"Early", 300), STATUS_SUCCESS);
    }
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(object);
    return STATUS_SUCCESS;
  };
  EXPECT_EQ(system.load_driver("test", scripted_driver::entry), STATUS_SUCCESS);
  EXPECT_EQ(system.unload_driver("test"), STATUS_SUCCESS);
}

TEST_F(device, cannot_be_opened_before_driver_entry_has_returned) {
  scripted_driver::on_entry = [this](PDRIVER_OBJECT driver, PUNICODE_STRING) {
    UNICODE_STRING name = unicode_literal(u"\\Device\\Early"), link = unicode_literal(u"\\DosDevices\\Early");
    IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &object);
    IoCreateSymbolicLink(&link, &name);
    file handle;
    EXPECT_EQ(handle.open(system, u"Early", 300), STATUS_NO_SUCH_DEVICE);
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(object);
    return STATUS_SUCCESS;
  };
  EXPECT_EQ(system.load_driver("test", scripted_driver::entry), STATUS_SUCCESS);
  EXPECT_EQ(system.unload_driver("test"), STATUS_SUCCESS);
}

TEST_F(device, names_and_links_do_not_collide) {
  load();
  scripted_driver::on_entry = [](PDRIVER_OBJECT driver, PUNICODE_STRING) {
    UNICODE_STRING name = unicode_literal(u"\\Device\\TEST"), link = unicode_literal(u"\\??\\TEST");
    PDEVICE_OBJECT second;
    EXPECT_EQ(IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &second), STATUS_OBJECT_NAME_COLLISION);
    EXPECT_EQ(IoCreateSymbolicLink(&link, &name), STATUS_OBJECT_NAME_COLLISION);
    UNICODE_STRING absent = unicode_literal(u"\\??\\Absent");
    EXPECT_EQ(IoDeleteSymbolicLink(&absent), STATUS_OBJECT_NAME_NOT_FOUND);
    return STATUS_UNSUCCESSFUL;
  };
  EXPECT_EQ(system.load_driver("other", scripted_driver::entry), STATUS_UNSUCCESSFUL);
  EXPECT_EQ(system.unload_driver("test"), STATUS_SUCCESS);
}

TEST_F(device, creation_and_link_fail_when_told) {
  const auto entry = [](PDRIVER_OBJECT driver, PUNICODE_STRING) {
    UNICODE_STRING name = unicode_literal(u"\\Device\\Test"), link = unicode_literal(u"\\DosDevices\\Test");
    NTSTATUS status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &object);
    if (!NT_SUCCESS(status)) return status;
    status = IoCreateSymbolicLink(&link, &name);
    IoDeleteDevice(object);
    return status;
  };
  scripted_driver::on_entry = entry;
  system.fail_call(machine::failure::device_creation, 1);
  EXPECT_EQ(system.load_driver("test", scripted_driver::entry), STATUS_INSUFFICIENT_RESOURCES);
  system.fail_call(machine::failure::symbolic_link, 1);
  EXPECT_EQ(system.load_driver("test", scripted_driver::entry), STATUS_INSUFFICIENT_RESOURCES);
}

TEST_F(device, a_create_that_fails_gives_no_handle_and_no_cleanup) {
  scripted_driver::on_entry = [](PDRIVER_OBJECT driver, PUNICODE_STRING) {
    UNICODE_STRING name = unicode_literal(u"\\Device\\Test"), link = unicode_literal(u"\\DosDevices\\Test");
    IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &object);
    return IoCreateSymbolicLink(&link, &name);  // and no dispatch routine at all
  };
  scripted_driver::on_unload = [](PDRIVER_OBJECT) {
    UNICODE_STRING link = unicode_literal(u"\\DosDevices\\Test");
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(object);
  };
  ASSERT_EQ(system.load_driver("test", scripted_driver::entry), STATUS_SUCCESS);
  file handle;
  EXPECT_EQ(handle.open(system, u"Test", 300), STATUS_INVALID_DEVICE_REQUEST);
  EXPECT_FALSE(handle.is_open());
  EXPECT_EQ(system.unload_driver("test"), STATUS_SUCCESS);
}

void read_once(machine& system) {
  file handle;
  handle.open(system, u"Test", 300);
  std::vector<uint8_t> buffer(10);
  uint64_t bytes;
  handle.read(buffer, bytes);
}

TEST_F(device_death_test, a_request_is_completed_once) {
  load();
  on_request = [](PIRP irp, PIO_STACK_LOCATION) {
    complete(irp, STATUS_SUCCESS);
    return complete(irp, STATUS_SUCCESS);
  };
  EXPECT_BUG_CHECK(read_once(system), "MULTIPLE_IRP_COMPLETE_REQUESTS");
  system.unload_driver("test");
}

TEST_F(device_death_test, pending_is_marked_and_returned_or_neither) {
  load();
  on_request = [](PIRP, PIO_STACK_LOCATION) { return STATUS_PENDING; };
  EXPECT_DEATH(read_once(system), "STOP: 0x000000C9 \\(0x0+23D,");
  on_request = [](PIRP irp, PIO_STACK_LOCATION) {
    IoMarkIrpPending(irp);
    return complete(irp, STATUS_SUCCESS);
  };
  EXPECT_DEATH(read_once(system), "STOP: 0x000000C9 \\(0x0+23E,");
  on_request = [](PIRP, PIO_STACK_LOCATION) { return STATUS_SUCCESS; };
  EXPECT_DEATH(read_once(system), "STOP: 0x000000C9 \\(0x0+20F,");
  on_request = [](PIRP irp, PIO_STACK_LOCATION) {
    complete(irp, STATUS_UNSUCCESSFUL);
    return STATUS_SUCCESS;
  };
  EXPECT_DEATH(read_once(system), "STOP: 0x000000C9 \\(0x0+20D,");
  system.unload_driver("test");
}

TEST_F(device_death_test, completion_has_its_rules) {
  load();
  on_request = [](PIRP irp, PIO_STACK_LOCATION) { return complete(irp, STATUS_PENDING); };
  EXPECT_DEATH(read_once(system), "STOP: 0x000000C9 \\(0x0+6,");
  on_request = [](PIRP irp, PIO_STACK_LOCATION) {
    IoSetCancelRoutine(irp, [](PDEVICE_OBJECT, PIRP) {});
    return complete(irp, STATUS_SUCCESS);
  };
  EXPECT_DEATH(read_once(system), "STOP: 0x000000C9 \\(0x0+7,");
  on_request = [](PIRP irp, PIO_STACK_LOCATION) { return complete(irp, STATUS_SUCCESS, 11); };
  EXPECT_DEATH(read_once(system), "completed with 11 bytes, but its buffer has 10");
  system.unload_driver("test");
}

TEST_F(device_death_test, a_device_is_deleted_once) {
  load();
  file handle;
  handle.open(system, u"Test", 300);  // keeps the object
  EXPECT_BUG_CHECK(
      {
        activity thread(system, 0, 4, 5);
        IoDeleteDevice(object);
        IoDeleteDevice(object);
      },
      "DRIVER_VERIFIER_IOMANAGER_VIOLATION");
  handle.close();
  system.unload_driver("test");
}

}  // namespace
}  // namespace sluice::sim
