// What processes do to the registry of the simulated machine, as events of the driver.
#include "tests/kernel_port/driver_registry_support.h"

namespace sluice::test {
namespace {

struct registry_events : testing::TestWithParam<sim::kernel_level> {
  static bool has_outcomes() { return GetParam() >= sim::kernel_level::vista; }
  static uint32_t flags(uint32_t others = 0) {
    return others | (has_outcomes() ? 0 : registry_flag_no_outcome);
  }
};

std::string name_of(sim::kernel_level level) {
  const char* const names[] = {"nt52", "vista", "windows8", "windows10"};
  return names[static_cast<int>(level)];
}

INSTANTIATE_TEST_SUITE_P(levels, registry_events,
                         testing::Values(sim::kernel_level::nt52, sim::kernel_level::vista,
                                         sim::kernel_level::windows8, sim::kernel_level::windows10),
                         [](const auto& instance) { return name_of(instance.param); });

TEST_P(registry_events, each_operation_is_one_event_with_its_full_path_and_context) {
  loaded_machine on(with({}, GetParam()));
  client reader(on.machine);
  one_of_each(on);
  const std::vector<received> records = reader.drain();

  const auto creates = of_type(records, event_type_registry_create_key);
  ASSERT_EQ(creates.size(), 1u);
  const auto create = creates[0].as<registry_key_payload>();
  EXPECT_EQ(creates[0].cpu, 1u);
  EXPECT_EQ(create.context.pid, 600u);
  EXPECT_EQ(create.context.tid, 604u);
  EXPECT_EQ(create.outcome.status, STATUS_SUCCESS);
  EXPECT_EQ(create.outcome.flags, flags(has_outcomes() ? 0 : registry_flag_no_disposition));
  EXPECT_EQ(create.disposition, has_outcomes() ? static_cast<uint32_t>(REG_CREATED_NEW_KEY) : 0u);
  EXPECT_EQ(create.desired_access, static_cast<uint32_t>(KEY_WRITE));
  EXPECT_EQ(creates[0].text(create.key_path), u"\\REGISTRY\\MACHINE\\SOFTWARE\\Acme\\Sub")
      << "the name was relative to its root";
  EXPECT_EQ(create.key_path.flags, 0u);

  const auto opens = of_type(records, event_type_registry_open_key);
  ASSERT_EQ(opens.size(), 1u);
  const auto open = opens[0].as<registry_key_payload>();
  EXPECT_EQ(opens[0].text(open.key_path), key);
  EXPECT_EQ(open.desired_access, static_cast<uint32_t>(KEY_READ));
  EXPECT_EQ(open.disposition, 0u);
  EXPECT_EQ(open.outcome.flags, flags());

  const auto sets = of_type(records, event_type_registry_set_value);
  ASSERT_EQ(sets.size(), 1u);
  const auto set = sets[0].as<registry_value_payload>();
  EXPECT_EQ(sets[0].text(set.key_path), key);
  EXPECT_EQ(sets[0].text(set.value_name), u"Path");
  EXPECT_EQ(set.value_type, static_cast<uint32_t>(REG_BINARY));
  EXPECT_EQ(set.outcome.flags, flags());
  EXPECT_EQ(set.data.original_length, 5u);
  EXPECT_EQ(set.data.flags, 0u);
  EXPECT_EQ(bytes_of(sets[0], set.data), std::vector<uint8_t>(some_data, some_data + 5));

  const auto removals = of_type(records, event_type_registry_delete_value);
  ASSERT_EQ(removals.size(), 1u);
  const auto removal = removals[0].as<registry_value_payload>();
  EXPECT_EQ(removals[0].text(removal.key_path), key);
  EXPECT_EQ(removals[0].text(removal.value_name), u"Path");

  const auto renames = of_type(records, event_type_registry_rename_key);
  ASSERT_EQ(renames.size(), 1u);
  const auto rename = renames[0].as<registry_rename_payload>();
  EXPECT_EQ(renames[0].text(rename.key_path), u"\\REGISTRY\\MACHINE\\SOFTWARE\\Acme\\Sub")
      << "its path before";
  EXPECT_EQ(renames[0].text(rename.new_name), u"Bus");

  const auto deletes = of_type(records, event_type_registry_delete_key);
  ASSERT_EQ(deletes.size(), 1u);
  const auto deletion = deletes[0].as<registry_key_payload>();
  EXPECT_EQ(deletes[0].text(deletion.key_path), u"\\REGISTRY\\MACHINE\\SOFTWARE\\Acme\\Bus");
}

TEST_P(registry_events, the_outcome_is_what_the_registry_answered_where_the_kernel_tells) {
  loaded_machine on(with({}, GetParam()));
  client reader(on.machine);
  const NTSTATUS no = STATUS_INSUFFICIENT_RESOURCES;
  sim::registry_create_key({.key = key, .outcome = no});
  sim::registry_open_key({.key = u"Acme", .root = software});
  sim::registry_set_value({.key = key, .value = u"v", .outcome = no});
  sim::registry_delete_value({.key = key, .value = u"v", .outcome = no});
  sim::registry_rename_key({.key = key, .new_name = u"w", .outcome = no});
  sim::registry_delete_key({.key = key, .outcome = no});
  const std::vector<received> records = reader.drain();
  uint32_t seen = 0;
  for (const received& record : records) {
    if (record.type < event_type_registry_create_key || record.type > event_type_registry_rename_key)
      continue;
    const auto payload = record.as<registry_key_payload>();
    const NTSTATUS expected = record.type == event_type_registry_open_key ? STATUS_OBJECT_NAME_NOT_FOUND : no;
    EXPECT_EQ(payload.outcome.status, has_outcomes() ? expected : STATUS_SUCCESS) << record.type;
    const bool is_key = record.type != event_type_registry_set_value &&
                        record.type != event_type_registry_delete_value &&
                        record.type != event_type_registry_rename_key;
    const auto path = is_key ? payload.key_path
                      : record.type == event_type_registry_rename_key
                          ? record.as<registry_rename_payload>().key_path
                          : record.as<registry_value_payload>().key_path;
    EXPECT_EQ(record.text(path), key) << "a failed operation keeps its full path: " << record.type;
    ++seen;
  }
  EXPECT_EQ(seen, 6u);
}

TEST_P(registry_events, what_is_raised_is_attempted_and_what_is_committed_is_received) {
  loaded_machine on(with({}, GetParam()));
  client reader(on.machine);
  for (int i = 0; i < 20; ++i) one_of_each(on);
  const std::vector<received> records = reader.drain();
  const auto rows = reader.statistics();
  const sim::raised_counts raised = sim::raised();
  const std::pair<uint16_t, uint64_t> expected[] = {
      {event_type_registry_create_key, raised.registry_create_key},
      {event_type_registry_open_key, raised.registry_open_key},
      {event_type_registry_set_value, raised.registry_set_value},
      {event_type_registry_delete_key, raised.registry_delete_key},
      {event_type_registry_delete_value, raised.registry_delete_value},
      {event_type_registry_rename_key, raised.registry_rename_key}};
  for (const auto& [type, count] : expected) {
    EXPECT_EQ(count, 20u) << type;
    const account_row sum = sum_of(rows, type);
    EXPECT_EQ(sum.attempted, count) << type;
    EXPECT_EQ(sum.committed, of_type(records, type).size()) << type;
    EXPECT_TRUE(sum.balances());
    EXPECT_EQ(sum.open, 0u);
  }
}

TEST_P(registry_events, an_event_costs_no_pool_but_where_a_path_can_be_had_in_no_other_way) {
  loaded_machine on(with({}, GetParam()));
  one_of_each(on);
  const uint64_t before = on.machine.pool_allocations();
  for (int i = 0; i < 50; ++i) one_of_each(on);
  const uint64_t paths_in_pool = has_outcomes() ? 0 : 50 * 6;  // NT 5.2: into memory of the asker's
  EXPECT_EQ(on.machine.pool_allocations(), before + paths_in_pool);
}

TEST(registry_producer, reads_become_no_events) {
  loaded_machine on(with());
  client reader(on.machine);
  sim::registry_set_value({.key = key, .value = u"v"});
  sim::registry_query_value({.key = key, .value = u"v"});
  sim::registry_enumerate_key({.key = key}, 0);
  protocol::statistics_header header;
  uint64_t attempted = 0;
  for (const auto& row : reader.statistics(&header)) {
    if (row.type >= event_type_registry_create_key && row.type <= event_type_registry_rename_key)
      attempted += row.account.attempted;
  }
  EXPECT_EQ(attempted, 1u);
  EXPECT_EQ(header.switched_off, 0u);
}

TEST(registry_producer, an_absolute_name_keeps_its_path_without_the_root) {
  loaded_machine on(with());
  client reader(on.machine);
  sim::registry_create_key({.key = key});
  sim::registry_create_key({.key = u"", .root = key});
  const auto events = of_type(reader.drain(), event_type_registry_create_key);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].text(events[0].as<registry_key_payload>().key_path), key);
  EXPECT_EQ(events[1].text(events[1].as<registry_key_payload>().key_path), key)
      << "an empty name is the root itself";
  EXPECT_EQ(events[1].as<registry_key_payload>().disposition, static_cast<uint32_t>(REG_OPENED_EXISTING_KEY));
}

TEST(registry_producer, operations_are_chosen_by_option_and_open_is_not_among_them_unasked) {
  {
    loaded_machine on;
    client reader(on.machine);
    const uint64_t types = reader.capabilities().types;
    EXPECT_EQ(types >> event_type_registry_create_key & 0x3f, 0x3du);
    one_of_each(on);
    const auto records = reader.drain();
    EXPECT_EQ(of_type(records, event_type_registry_open_key).size(), 0u);
    EXPECT_EQ(of_type(records, event_type_registry_set_value).size(), 1u);
    EXPECT_EQ(reader.set_types(uint64_t{1} << event_type_registry_open_key), STATUS_NOT_SUPPORTED);
  }
  for (uint32_t bit = 0; bit < 6; ++bit) {
    loaded_machine on({.service_parameters = {{u"Sluice", u"RegistryOperations", 1u << bit}}});
    client reader(on.machine);
    one_of_each(on);
    const auto records = reader.drain();
    for (uint32_t other = 0; other < 6; ++other) {
      EXPECT_EQ(of_type(records, static_cast<uint16_t>(event_type_registry_create_key + other)).size(),
                other == bit ? 1u : 0u);
    }
  }
  loaded_machine on({.service_parameters = {{u"Sluice", u"RegistryOperations", 0}}});
  client reader(on.machine);
  EXPECT_EQ(reader.capabilities().registry_registration, protocol::registration::none);
  EXPECT_EQ(on.machine.in_use().notify_routines, 3u) << "no registry callback";
}

TEST(registry_producer, a_type_that_is_switched_off_is_counted_and_costs_no_capture) {
  loaded_machine on(with());
  client reader(on.machine);
  sim::user_memory data(16);
  reader.set_types(uint64_t{1} << event_type_registry_delete_key);
  sim::registry_set_value({.key = key, .value = u"v", .data = some_data});
  EXPECT_TRUE(of_type(reader.drain(), event_type_registry_set_value).empty());
  protocol::statistics_header header;
  reader.statistics(&header);
  EXPECT_EQ(header.switched_off, 1u);
}

TEST(registry_producer, a_type_switched_between_before_and_after_stays_as_it_was_decided) {
  loaded_machine on(with());
  client reader(on.machine);
  const uint64_t all = reader.capabilities().types;
  uint64_t next = 0;
  const other_callback switches(below, [&](REG_NOTIFY_CLASS what, void*) {
    if (what == RegNtPreSetValueKey) reader.set_types(next);
    return STATUS_SUCCESS;
  });
  next = all & ~(uint64_t{1} << event_type_registry_set_value);
  sim::registry_set_value({.key = key, .value = u"decided on"});
  next = all;
  sim::registry_set_value({.key = key, .value = u"decided off"});
  const auto events = of_type(reader.drain(), event_type_registry_set_value);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].text(events[0].as<registry_value_payload>().value_name), u"decided on");
}

TEST(registry_producer, what_a_callback_below_refuses_is_an_event_with_its_status) {
  loaded_machine on(with());
  client reader(on.machine);
  const other_callback guard(below, [](REG_NOTIFY_CLASS what, void*) {
    return what == RegNtPreDeleteKey ? STATUS_ACCESS_DENIED : STATUS_SUCCESS;
  });
  EXPECT_EQ(sim::registry_delete_key({.key = key}), STATUS_ACCESS_DENIED);
  const auto events = of_type(reader.drain(), event_type_registry_delete_key);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].as<registry_key_payload>().outcome.status, STATUS_ACCESS_DENIED);
}

TEST(registry_producer, what_a_callback_above_refuses_never_reaches_us) {
  loaded_machine on(with());
  client reader(on.machine);
  const other_callback guard(above, [](REG_NOTIFY_CLASS, void*) { return STATUS_ACCESS_DENIED; });
  EXPECT_EQ(sim::registry_delete_key({.key = key}), STATUS_ACCESS_DENIED);
  EXPECT_TRUE(of_type(reader.drain(), event_type_registry_delete_key).empty());
  EXPECT_EQ(sum_of(reader.statistics(), event_type_registry_delete_key).attempted, 0u);
}

TEST(registry_producer, operations_within_operations_are_told_apart) {
  loaded_machine on(with());
  client reader(on.machine);
  // Its own write of a log value, while the operation that made it do so is between its two callbacks.
  const other_callback logger(above, [](REG_NOTIFY_CLASS what, void*) {
    if (what != RegNtPreSetValueKey && what != RegNtPostSetValueKey) return STATUS_SUCCESS;
    UNICODE_STRING path = unicode_literal(u"\\REGISTRY\\MACHINE\\SOFTWARE\\Log");
    UNICODE_STRING value = unicode_literal(u"inner");
    OBJECT_ATTRIBUTES attributes;
    InitializeObjectAttributes(&attributes, &path, OBJ_KERNEL_HANDLE, nullptr, nullptr);
    HANDLE handle;
    EXPECT_EQ(ZwCreateKey(&handle, KEY_ALL_ACCESS, &attributes, 0, nullptr, 0, nullptr), STATUS_SUCCESS);
    ULONG number = 1;
    EXPECT_EQ(ZwSetValueKey(handle, &value, 0, REG_DWORD, &number, sizeof number), STATUS_SUCCESS);
    ZwClose(handle);
    return STATUS_SUCCESS;
  });
  // And one below us: made between our two callbacks, but passing us by.
  const other_callback reactor(below, [](REG_NOTIFY_CLASS what, void*) {
    if (what != RegNtPreSetValueKey) return STATUS_SUCCESS;
    UNICODE_STRING path = unicode_literal(u"\\REGISTRY\\MACHINE\\SOFTWARE\\Unseen");
    OBJECT_ATTRIBUTES attributes;
    InitializeObjectAttributes(&attributes, &path, OBJ_KERNEL_HANDLE, nullptr, nullptr);
    HANDLE handle;
    EXPECT_EQ(ZwCreateKey(&handle, KEY_ALL_ACCESS, &attributes, 0, nullptr, 0, nullptr), STATUS_SUCCESS);
    ZwClose(handle);
    return STATUS_SUCCESS;
  });
  sim::registry_set_value({.key = key, .value = u"outer", .data = some_data});
  const auto records = reader.drain();
  std::vector<std::u16string> names;
  for (const received& record : of_type(records, event_type_registry_set_value)) {
    names.push_back(record.text(record.as<registry_value_payload>().value_name));
  }
  EXPECT_EQ(names, (std::vector<std::u16string>{u"inner", u"outer", u"inner"}))
      << "by the time of their ends";
  for (const received& record : of_type(records, event_type_registry_create_key)) {
    EXPECT_EQ(record.text(record.as<registry_key_payload>().key_path), u"\\REGISTRY\\MACHINE\\SOFTWARE\\Log");
  }
}

}  // namespace
}  // namespace sluice::test
