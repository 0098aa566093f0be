// The device: requests at their bounds, handles, cancellation.
#include "tests/kernel_port/driver_test_support.h"

namespace sluice::test {
namespace {

TEST(driver_device, a_read_waits_until_there_is_an_event) {
  loaded_machine on;
  client reader(on.machine);
  (void)reader.drain();
  std::thread later([&] {
    sim::activity here(on.machine, 1, 700, 704);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    sim::load_image({.base = 77});
  });
  std::vector<received> records;
  EXPECT_EQ(reader.read(records), STATUS_SUCCESS);
  later.join();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].as<image_load_payload>().base, 77u);
}

TEST(driver_device, a_read_that_times_out_loses_nothing) {
  loaded_machine on;
  client reader(on.machine);
  (void)reader.drain();
  std::vector<received> records;
  EXPECT_EQ(reader.read(records, std::chrono::milliseconds(5)), STATUS_TIMEOUT);
  sim::load_image({.base = 78});
  EXPECT_EQ(reader.read(records), STATUS_SUCCESS);
  ASSERT_EQ(records.size(), 1u);
}

TEST(driver_device, cancelling_and_closing_complete_what_waits) {
  loaded_machine on;
  client reader(on.machine);
  (void)reader.drain();
  std::atomic<bool> ended{false};
  NTSTATUS status = STATUS_SUCCESS;
  std::thread blocked([&] {
    std::vector<uint8_t> buffer(protocol::min_read_bytes);
    uint64_t bytes = 0;
    status = reader.file.read(buffer, bytes);
    ended = true;
  });
  // Nobody can see from here that the read waits. Cancelling before it does cancels nothing.
  eventually([&] {
    reader.file.cancel();
    return ended.load();
  });
  blocked.join();
  EXPECT_EQ(status, STATUS_CANCELLED);
}

// A program that reads the device as it would a file may truncate it, or put its position back, on the way.
TEST(driver_device, what_is_set_of_a_handle_does_not_fail_and_changes_nothing) {
  loaded_machine on;
  client reader(on.machine);
  (void)reader.drain();
  const uint8_t zero[64] = {};
  for (const size_t length : {size_t{0}, size_t{1}, size_t{8}, sizeof zero}) {
    EXPECT_EQ(reader.file.set_information(FileEndOfFileInformation, {zero, length}), STATUS_SUCCESS);
    EXPECT_EQ(reader.file.set_information(FilePositionInformation, {zero, length}), STATUS_SUCCESS);
    EXPECT_EQ(reader.file.set_information(~0u, {zero, length}), STATUS_SUCCESS);
  }
  sim::load_image({.base = 79});
  std::vector<received> records;
  EXPECT_EQ(reader.read(records), STATUS_SUCCESS);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].as<image_load_payload>().base, 79u);
}

TEST(driver_device, one_handle_reads_at_a_time_and_the_next_may_when_it_is_closed) {
  loaded_machine on;
  client first(on.machine);
  (void)first.drain();
  client second(on.machine);
  std::vector<received> records;
  EXPECT_EQ(second.read(records), STATUS_SHARING_VIOLATION);
  first.file.close();
  (void)second.drain();
}

TEST(driver_device, a_buffer_that_could_not_hold_the_longest_record_is_refused) {
  loaded_machine on;
  client reader(on.machine);
  for (const size_t size : {size_t{0}, size_t{1}, size_t{protocol::min_read_bytes - 1}}) {
    std::vector<uint8_t> buffer(size);
    uint64_t bytes = 0;
    EXPECT_EQ(reader.file.read(buffer, bytes), STATUS_BUFFER_TOO_SMALL) << size;
  }
}

TEST(driver_device, controls_are_checked_at_every_length) {
  loaded_machine on;
  client reader(on.machine);
  uint64_t bytes = 0;
  for (size_t size = 0; size < sizeof(protocol::capabilities); ++size) {
    std::vector<uint8_t> out(size);
    EXPECT_EQ(reader.file.control(protocol::code_capabilities, {}, out, bytes), STATUS_BUFFER_TOO_SMALL) << size;
  }
  for (size_t size = 0; size < sizeof(protocol::set_types); ++size) {
    std::vector<uint8_t> in(size);
    EXPECT_EQ(reader.file.control(protocol::code_set_types, in, {}, bytes), STATUS_INFO_LENGTH_MISMATCH) << size;
  }
  for (size_t size = 0; size < sizeof(protocol::statistics_header); ++size) {
    std::vector<uint8_t> out(size);
    EXPECT_EQ(reader.file.control(protocol::code_statistics, {}, out, bytes), STATUS_BUFFER_TOO_SMALL) << size;
  }
  EXPECT_EQ(reader.file.control(protocol::control_code(0x9ff, 0), {}, {}, bytes), STATUS_INVALID_DEVICE_REQUEST);
}

// A code says how its buffers come. One of ours with another way is another code: nothing is read by a method it was not made for.
TEST(driver_device, controls_by_another_method_are_refused) {
  loaded_machine on;
  client reader(on.machine);
  const std::vector<uint8_t> in(64);
  std::vector<uint8_t> out(4096);
  for (uint32_t function = 0x900; function <= 0x920; ++function) {
    for (const uint32_t access : {0u, 1u, 2u, 3u}) {
      for (const uint32_t method : {1u, 2u, 3u}) {  // in direct, out direct, neither
        const uint32_t code = protocol::control_code(function, access) | method;
        uint64_t bytes = 1;
        EXPECT_EQ(reader.file.control(code, in, out, bytes), STATUS_INVALID_DEVICE_REQUEST) << std::hex << code;
        EXPECT_EQ(reader.file.control(code, {}, {}, bytes), STATUS_INVALID_DEVICE_REQUEST) << std::hex << code;
        EXPECT_EQ(bytes, 0u);
      }
    }
  }
}

// Whatever lengths come with a code, zero and too much included: an answer or a refusal, and the device still serves.
TEST(driver_device, every_code_is_answered_at_odd_lengths) {
  loaded_machine on;
  client reader(on.machine);
  for (uint32_t function = 0x900; function <= 0x920; ++function) {
    for (const uint32_t access : {0u, 1u, 2u, 3u}) {
      for (const size_t length : {size_t{0}, size_t{1}, size_t{7}, size_t{1} << 16}) {
        const std::vector<uint8_t> in(length, 0xff);
        std::vector<uint8_t> out(length);
        uint64_t bytes = 0;
        // What waits is cancelled: then it was accepted.
        const NTSTATUS status = reader.file.control(protocol::control_code(function, access), in, out, bytes, std::chrono::milliseconds(1));
        EXPECT_LE(bytes, out.size());
        EXPECT_NE(status, STATUS_PENDING);
      }
    }
  }
  sim::load_image({.base = 1});
  EXPECT_EQ(of_type(reader.drain(), event_type_image_load).size(), 1u);
}

TEST(driver_device, statistics_too_long_for_the_buffer_say_how_many_rows_there_are) {
  loaded_machine on;
  client reader(on.machine);
  sim::load_image({});
  (void)reader.drain();
  protocol::statistics_header header{};
  uint64_t bytes = 0;
  EXPECT_EQ(reader.file.control(protocol::code_statistics, {}, {reinterpret_cast<uint8_t*>(&header), sizeof header}, bytes),
            STATUS_BUFFER_OVERFLOW);
  EXPECT_EQ(bytes, sizeof header);
  EXPECT_EQ(header.row_count, reader.statistics().size());
}

TEST(driver_device, a_flush_with_nothing_to_tell_completes_a_read_with_an_empty_batch) {
  loaded_machine on;
  client reader(on.machine);
  (void)reader.drain();
  uint64_t bytes = 0;
  ASSERT_EQ(reader.file.control(protocol::code_flush, {}, {}, bytes), STATUS_SUCCESS);
  std::vector<received> records;
  EXPECT_EQ(reader.read(records), STATUS_SUCCESS);
  EXPECT_TRUE(records.empty());
}

TEST(driver_device, events_of_a_time_without_a_reader_wait_for_one) {
  loaded_machine on;
  for (uint32_t i = 0; i < 100; ++i) sim::load_image({.base = i});
  client reader(on.machine);
  EXPECT_EQ(of_type(reader.drain(), event_type_image_load).size(), 100u);
}

// A driver with a device of its own, and dispatch routines for what it handles: it says so in the request's answer.
constexpr uint32_t own_code = 0x8001u << 16 | 0x970u << 2;
constexpr uint32_t own_answer = 0x0dd0;
PDEVICE_OBJECT own_device = nullptr;
NTSTATUS sensor_status = STATUS_SUCCESS;

NTSTATUS NTAPI own_dispatch(PDEVICE_OBJECT device, PIRP irp) {
  EXPECT_EQ(device, own_device);
  const bool control = IoGetCurrentIrpStackLocation(irp)->MajorFunction == IRP_MJ_DEVICE_CONTROL;
  if (control) *static_cast<uint32_t*>(irp->AssociatedIrp.SystemBuffer) = own_answer;
  return complete(irp, STATUS_SUCCESS, control ? sizeof own_answer : 0);
}

// Goes on whether it has a sensor or not.
NTSTATUS own_driver_entry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path) {
  driver->DriverUnload = [](PDRIVER_OBJECT) {
    UNICODE_STRING link = unicode_literal(u"\\DosDevices\\Own");
    EXPECT_EQ(IoDeleteSymbolicLink(&link), STATUS_SUCCESS);
    IoDeleteDevice(own_device);
    sensor::destroy(sensor_under_test);
    sensor_under_test = nullptr;
  };
  const UCHAR own[] = {IRP_MJ_CREATE, IRP_MJ_CLOSE, IRP_MJ_DEVICE_CONTROL};
  for (const UCHAR major : own) driver->MajorFunction[major] = &own_dispatch;
  const PDRIVER_DISPATCH refused = driver->MajorFunction[IRP_MJ_READ];
  sensor_status = sensor::create(driver, registry_path, sensor_under_test);
  if (!NT_SUCCESS(sensor_status)) {
    for (const UCHAR major : own) EXPECT_EQ(driver->MajorFunction[major], &own_dispatch);
    for (const UCHAR major : {IRP_MJ_CLEANUP, IRP_MJ_READ, IRP_MJ_SET_INFORMATION}) EXPECT_EQ(driver->MajorFunction[major], refused);
  }
  UNICODE_STRING name = unicode_literal(u"\\Device\\Own");
  UNICODE_STRING link = unicode_literal(u"\\DosDevices\\Own");
  const NTSTATUS status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &own_device);
  return NT_SUCCESS(status) ? IoCreateSymbolicLink(&link, &name) : status;
}

void use_own_device(sim::machine& machine) {
  sim::file file;
  ASSERT_EQ(file.open(machine, u"Own", 500), STATUS_SUCCESS);
  uint32_t answer = 0;
  uint64_t bytes = 0;
  const std::span<uint8_t> out(reinterpret_cast<uint8_t*>(&answer), sizeof answer);
  EXPECT_EQ(file.control(own_code, {}, out, bytes), STATUS_SUCCESS);
  EXPECT_EQ(answer, own_answer);
  uint8_t nothing[4096];
  EXPECT_EQ(file.read(nothing, bytes), STATUS_INVALID_DEVICE_REQUEST);  // as if there were no sensor
  file.close();  // CLEANUP, which it does not handle, and CLOSE
}

TEST(driver_device, requests_for_another_device_of_the_driver_go_where_they_would_without_the_sensor) {
  sim::machine machine;
  sim::activity starter(machine, 0, 4, 8);
  ASSERT_EQ(machine.load_driver("Own", &own_driver_entry), STATUS_SUCCESS);
  ASSERT_EQ(sensor_status, STATUS_SUCCESS);
  {
    client reader(machine);
    (void)reader.drain();
    use_own_device(machine);
    sim::load_image({.base = 79});
    EXPECT_EQ(of_type(reader.drain(), event_type_image_load).size(), 1u);
    use_own_device(machine);
  }
  EXPECT_EQ(machine.unload_driver("Own"), STATUS_SUCCESS);
}

TEST(driver_device, a_driver_goes_on_without_its_sensor) {
  using failure = sim::machine::failure;
  for (const auto& [kind, nth] : {std::pair{failure::device_creation, 1}, std::pair{failure::security_change, 1},
                                  std::pair{failure::symbolic_link, 1}, std::pair{failure::notify_registration, 2}}) {
    sim::machine machine;
    sim::activity starter(machine, 0, 4, 8);
    machine.fail_call(kind, static_cast<uint64_t>(nth), STATUS_QUOTA_EXCEEDED);
    ASSERT_EQ(machine.load_driver("Own", &own_driver_entry), STATUS_SUCCESS);
    EXPECT_EQ(sensor_status, STATUS_QUOTA_EXCEEDED);
    use_own_device(machine);
    EXPECT_EQ(machine.unload_driver("Own"), STATUS_SUCCESS);
    EXPECT_EQ(machine.in_use().pool_blocks, 0u);
  }
}

PDRIVER_DISPATCH below = nullptr;
uint32_t passed_on = 0;

NTSTATUS NTAPI over_the_sensors(PDEVICE_OBJECT device, PIRP irp) {
  ++passed_on;
  return below(device, irp);
}

NTSTATUS wrapping_driver_entry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path) {
  static PDRIVER_DISPATCH refused;
  refused = driver->MajorFunction[IRP_MJ_CREATE];
  driver->DriverUnload = [](PDRIVER_OBJECT object) {
    unload_test_driver(object);
    EXPECT_EQ(object->MajorFunction[IRP_MJ_READ], &over_the_sensors);
    EXPECT_EQ(object->MajorFunction[IRP_MJ_CREATE], refused);
  };
  const NTSTATUS status = sensor::create(driver, registry_path, sensor_under_test);
  below = driver->MajorFunction[IRP_MJ_READ];
  driver->MajorFunction[IRP_MJ_READ] = &over_the_sensors;
  return status;
}

TEST(driver_device, a_routine_that_the_driver_puts_over_the_sensors_hands_on_to_it_and_stays) {
  passed_on = 0;
  sim::machine machine;
  sim::activity starter(machine, 0, 4, 8);
  ASSERT_EQ(machine.load_driver("Over", &wrapping_driver_entry), STATUS_SUCCESS);
  {
    client reader(machine);
    sim::load_image({.base = 80});
    EXPECT_EQ(of_type(reader.drain(), event_type_image_load).size(), 1u);
    EXPECT_GT(passed_on, 0u);
  }
  EXPECT_EQ(machine.unload_driver("Over"), STATUS_SUCCESS);
}

}  // namespace
}  // namespace sluice::test
