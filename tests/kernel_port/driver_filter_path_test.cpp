// Filters, seen from a client: paths of images and of keys.
#include "tests/kernel_port/driver_registry_support.h"
#include "tests/kernel_port/filter_test_support.h"

namespace sluice::test {
namespace {

TEST(driver_filter, image_paths_are_judged_by_their_longest_entry_without_regard_to_case) {
  loaded_machine on;
  client reader(on.machine);
  set_filter(reader, {.images = {{u"\\Device\\Disk\\Windows"},
                                 {u"\\device\\DISK\\windows\\Temp", true},
                                 {u"\\Device\\Disk\\Windows\\Temp\\good.dll"},
                                 {u"\\usr\\l\u00e4b"}}});
  load(700, u"\\Device\\Disk\\WINDOWS\\a.dll");
  load(701, u"\\Device\\Disk\\Windows\\temp\\bad.dll");
  load(702, u"\\Device\\Disk\\Windows\\TEMP\\GOOD.DLL");
  load(703, u"\\Device\\Disk\\WindowsOld\\a.dll");
  load(704, u"\\Device\\Disk\\Windows");
  load(705, u"/usr/L\u00c4B/x.so");
  load(706, u"\\Device\\\\Disk\\Windows\\\\a.dll");
  load(707, u"Device\\Disk\\Windows\\a.dll");
  sim::load_image({.pid = 708, .base = 1});  // without a path it cannot be judged
  EXPECT_EQ(pids_of(reader.drain(), event_type_image_load), (pids{700, 702, 704, 705, 706, 708}));
  EXPECT_EQ(filtered_because(reader, event_type_image_load, filter_reason::image), 3u);
}

TEST(driver_filter, image_paths_judge_starting_processes_too) {
  loaded_machine on;
  client reader(on.machine);
  set_filter(reader, {.images = {{u"\\Windows\\System32", true}}});
  start(1000, 500, u"\\Windows\\System32\\svchost.exe");
  start(1100, 500, u"\\Temp\\x.exe");
  EXPECT_EQ(pids_of(reader.drain(), event_type_process_create), pids{1100});
  EXPECT_EQ(filtered_because(reader, event_type_process_create, filter_reason::image), 1u);
}

TEST(driver_filter, registry_keys_are_judged_at_every_operation) {
  for (const auto level : {sim::kernel_level::nt52, sim::kernel_level::vista, sim::kernel_level::windows10}) {
    loaded_machine on(with({}, level));
    client reader(on.machine);
    set_filter(reader, {.keys = {{u"\\registry\\machine\\software\\ACME", true}}});
    one_of_each(on);
    on.starter.become(0, 4, 8);
    sim::registry_set_value({.key = u"\\REGISTRY\\MACHINE\\SOFTWARE\\Other", .value = u"v"});
    const auto records = reader.drain();
    for (uint16_t type = event_type_registry_create_key; type <= event_type_registry_rename_key; ++type) {
      const size_t others = type == event_type_registry_set_value ? 1 : 0;
      EXPECT_EQ(of_type(records, type).size(), others) << type;
      EXPECT_EQ(filtered_because(reader, type, filter_reason::key), 1u) << type;
    }
  }
}

TEST(driver_filter, a_slash_is_part_of_a_key_name) {
  loaded_machine on(with());
  client reader(on.machine);
  set_filter(reader, {.keys = {{u"\\REGISTRY\\MACHINE\\application", true}}});
  sim::registry_create_key({.key = u"\\REGISTRY\\MACHINE\\application/pdf"});
  EXPECT_EQ(of_type(reader.drain(), event_type_registry_create_key).size(), 1u);
}

TEST(driver_filter, an_operation_that_is_filtered_costs_no_memory_that_stays) {
  loaded_machine on(with());
  client reader(on.machine);
  set_filter(reader, {.keys = {{u"\\REGISTRY", true}}});
  const uint64_t held = on.machine.in_use().pool_blocks;
  const std::vector<uint8_t> data(8000);  // longer than a slot
  for (int i = 0; i < 200; ++i) sim::registry_set_value({.key = key, .value = u"v", .data = data});
  EXPECT_EQ(on.machine.in_use().pool_blocks, held);
  EXPECT_EQ(filtered_because(reader, event_type_registry_set_value, filter_reason::key), 200u);
}

}  // namespace
}  // namespace sluice::test
