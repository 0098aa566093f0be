// What processes do to the registry of the simulated machine, as events of the driver.
#include <algorithm>
#include <chrono>
#include <optional>

#include "tests/kernel_port/driver_test_support.h"

namespace sluice::test {
namespace {

constexpr std::u16string_view software = u"\\REGISTRY\\MACHINE\\SOFTWARE";
constexpr std::u16string_view key = u"\\REGISTRY\\MACHINE\\SOFTWARE\\Acme";

sim::machine_options with(std::vector<sim::service_parameter> parameters = {},
                          sim::kernel_level level = sim::kernel_level::windows10) {
  parameters.push_back({u"Sluice", u"RegistryOperations", registry_operations_all});
  return {.level = level, .service_parameters = std::move(parameters)};
}

std::vector<uint8_t> bytes_of(const received& record, const bytes_field& field) {
  return {record.payload.begin() + field.offset, record.payload.begin() + field.offset + field.length};
}

// Another driver's callback beside ours.
struct other_callback {
  std::function<NTSTATUS(REG_NOTIFY_CLASS, void*)> react;
  LARGE_INTEGER cookie{};

  other_callback(const char16_t* altitude, std::function<NTSTATUS(REG_NOTIFY_CLASS, void*)> reacts)
      : react(std::move(reacts)) {
    static DRIVER_OBJECT driver;
    UNICODE_STRING text, name = unicode_literal(u"CmRegisterCallbackEx");
    RtlInitUnicodeString(&text, reinterpret_cast<PCWSTR>(altitude));
    const auto add = reinterpret_cast<decltype(::CmRegisterCallbackEx)*>(MmGetSystemRoutineAddress(&name));
    EXPECT_EQ(add(&call, &text, &driver, this, &cookie, nullptr), STATUS_SUCCESS);
  }
  ~other_callback() { CmUnRegisterCallback(cookie); }
  static NTSTATUS call(PVOID context, PVOID what, PVOID information) {
    return static_cast<other_callback*>(context)->react(
        static_cast<REG_NOTIFY_CLASS>(reinterpret_cast<uintptr_t>(what)), information);
  }
};
constexpr char16_t above[] = u"399000";
constexpr char16_t below[] = u"320000";

const uint8_t some_data[] = {1, 2, 3, 4, 5};

// Every operation once, as process 600.
void one_of_each(loaded_machine& on) {
  on.starter.become(1, 600, 604);
  EXPECT_EQ(sim::registry_create_key({.key = u"Acme\\Sub", .root = software, .desired_access = KEY_WRITE}),
            STATUS_SUCCESS);
  EXPECT_EQ(sim::registry_open_key({.key = key, .desired_access = KEY_READ}), STATUS_SUCCESS);
  EXPECT_EQ(sim::registry_set_value({.key = key, .value = u"Path", .type = REG_BINARY, .data = some_data}),
            STATUS_SUCCESS);
  EXPECT_EQ(sim::registry_delete_value({.key = key, .value = u"Path"}), STATUS_SUCCESS);
  EXPECT_EQ(sim::registry_rename_key({.key = u"\\REGISTRY\\MACHINE\\SOFTWARE\\Acme\\Sub", .new_name = u"Bus"}),
            STATUS_SUCCESS);
  EXPECT_EQ(sim::registry_delete_key({.key = u"\\REGISTRY\\MACHINE\\SOFTWARE\\Acme\\Bus"}), STATUS_SUCCESS);
  on.starter.become(0, 4, 8);
}

struct registry_events : testing::TestWithParam<sim::kernel_level> {
  static bool has_outcomes() { return GetParam() >= sim::kernel_level::vista; }
  static uint32_t flags(uint32_t others = 0) { return others | (has_outcomes() ? 0 : registry_flag_no_outcome); }
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
  EXPECT_EQ(renames[0].text(rename.key_path), u"\\REGISTRY\\MACHINE\\SOFTWARE\\Acme\\Sub") << "its path before";
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
    if (record.type < event_type_registry_create_key || record.type > event_type_registry_rename_key) continue;
    const auto payload = record.as<registry_key_payload>();
    const NTSTATUS expected = record.type == event_type_registry_open_key ? STATUS_OBJECT_NAME_NOT_FOUND : no;
    EXPECT_EQ(payload.outcome.status, has_outcomes() ? expected : STATUS_SUCCESS) << record.type;
    const bool is_key = record.type != event_type_registry_set_value && record.type != event_type_registry_delete_value &&
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
  const std::pair<uint16_t, uint64_t> expected[] = {{event_type_registry_create_key, raised.registry_create_key},
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

TEST_P(registry_events, an_event_costs_no_pool) {
  if (!has_outcomes()) GTEST_SKIP() << "NT 5.2 gives a key's path only into memory of the asker's";
  loaded_machine on(with({}, GetParam()));
  one_of_each(on);
  const uint64_t before = on.machine.pool_allocations();
  for (int i = 0; i < 50; ++i) one_of_each(on);
  EXPECT_EQ(on.machine.pool_allocations(), before);
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
    if (row.type >= event_type_registry_create_key && row.type <= event_type_registry_rename_key) attempted += row.account.attempted;
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
  EXPECT_EQ(events[1].text(events[1].as<registry_key_payload>().key_path), key) << "an empty name is the root itself";
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
  EXPECT_EQ(names, (std::vector<std::u16string>{u"inner", u"outer", u"inner"})) << "by the time of their ends";
  for (const received& record : of_type(records, event_type_registry_create_key)) {
    EXPECT_EQ(record.text(record.as<registry_key_payload>().key_path), u"\\REGISTRY\\MACHINE\\SOFTWARE\\Log");
  }
}

// Before Windows 8 the callback is given the process' own memory.
TEST(registry_producer, data_that_faults_is_unavailable_and_its_event_is_not_lost) {
  for (const size_t readable : {size_t{0}, size_t{1}, size_t{4095}, size_t{4096}}) {
    loaded_machine on(with({{u"Sluice", u"RegistryDataBytes", 8192}}, sim::kernel_level::vista));
    client reader(on.machine);
    sim::user_memory data(5000);
    data.accessible_up_to(readable);
    EXPECT_EQ(sim::registry_set_value({.key = key, .value = u"v", .user_data = &data}), STATUS_ACCESS_VIOLATION);
    const auto events = of_type(reader.drain(), event_type_registry_set_value);
    ASSERT_EQ(events.size(), 1u);
    const auto payload = events[0].as<registry_value_payload>();
    EXPECT_EQ(payload.data.flags, string_flag_unavailable);
    EXPECT_EQ(payload.data.length, 0u);
    EXPECT_EQ(payload.data.original_length, 5000u);
    EXPECT_EQ(payload.outcome.status, STATUS_ACCESS_VIOLATION);
    EXPECT_EQ(events[0].text(payload.value_name), u"v");
  }
}

TEST(registry_producer, data_that_changes_underfoot_is_what_was_read_once_before_the_operation) {
  loaded_machine on(with({}, sim::kernel_level::vista));
  client reader(on.machine);
  sim::user_memory data(100);
  data.on_read([&](uint64_t nth) { std::fill_n(data.data(), data.size(), static_cast<uint8_t>('a' + nth)); });
  sim::registry_set_value({.key = key, .value = u"v", .user_data = &data});
  const auto events = of_type(reader.drain(), event_type_registry_set_value);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(bytes_of(events[0], events[0].as<registry_value_payload>().data), std::vector<uint8_t>(100, 'a'));
  EXPECT_EQ(data.reads(), 2u) << "one read is ours, one the registry's";
}

TEST(registry_producer, data_that_another_thread_scribbles_over_does_no_harm) {
  loaded_machine on(with({}, sim::kernel_level::vista));
  client reader(on.machine);
  sim::user_memory data(1000);
  std::atomic<bool> stop{false};
  std::thread scribbler([&] {
    for (uint8_t value = 0; !stop.load(); ++value) {
      std::atomic_ref<uint8_t>(data.data()[value]).store(value, std::memory_order_relaxed);
      data.accessible_up_to(value % 3 == 0 ? 500 : 1000);
    }
  });
  for (int i = 0; i < 300; ++i) sim::registry_set_value({.key = key, .value = u"v", .user_data = &data});
  stop = true;
  scribbler.join();
  const auto events = of_type(reader.drain(), event_type_registry_set_value);
  EXPECT_EQ(events.size(), 300u);
  for (const received& record : events) {
    const auto payload = record.as<registry_value_payload>();
    EXPECT_EQ(payload.data.length, payload.data.flags == string_flag_unavailable ? 0u : 1000u);
  }
}

TEST(registry_producer, a_disposition_in_memory_of_the_process_is_read_with_care) {
  loaded_machine on(with());
  client reader(on.machine);
  sim::user_memory disposition(4);
  sim::registry_create_key({.key = key, .disposition_buffer = &disposition});
  // Gone between the registry's writing and our reading.
  disposition.on_read([&](uint64_t nth) {
    if (nth == 3) disposition.accessible_up_to(2);
  });
  sim::registry_create_key({.key = key, .disposition_buffer = &disposition});
  const auto events = of_type(reader.drain(), event_type_registry_create_key);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].as<registry_key_payload>().disposition, static_cast<uint32_t>(REG_CREATED_NEW_KEY));
  EXPECT_EQ(events[1].as<registry_key_payload>().disposition, 0u);
  EXPECT_EQ(events[1].as<registry_key_payload>().outcome.flags, registry_flag_no_disposition);
}

TEST(registry_producer, data_is_cut_at_its_bound_and_keeps_its_real_size) {
  for (const size_t size : {0u, 1u, 7u, 4095u, 4096u, 4097u, 65535u, 65536u, 70001u, 1u << 20}) {
    loaded_machine on(with());
    client reader(on.machine);
    std::vector<uint8_t> data(size);
    for (size_t i = 0; i < size; ++i) data[i] = static_cast<uint8_t>(i * 7);
    ASSERT_EQ(sim::registry_set_value({.key = key, .value = u"v", .type = REG_NONE, .data = data}), STATUS_SUCCESS);
    const auto events = of_type(reader.drain(), event_type_registry_set_value);
    ASSERT_EQ(events.size(), 1u);
    const auto payload = events[0].as<registry_value_payload>();
    EXPECT_EQ(payload.data.original_length, size);
    EXPECT_EQ(payload.data.length, std::min<size_t>(size, 4096));
    EXPECT_EQ(payload.data.flags, size > 4096 ? string_flag_truncated : 0u);
    data.resize(payload.data.length);
    EXPECT_EQ(bytes_of(events[0], payload.data), data);
  }
}

TEST(registry_producer, data_is_cut_at_what_the_longest_record_holds) {
  loaded_machine on(with({{u"Sluice", u"RegistryDataBytes", 0x7fffffff}}));
  client reader(on.machine);
  const std::vector<uint8_t> data(100'000, 9);
  sim::registry_set_value({.key = key, .value = u"v", .data = data});
  const auto events = of_type(reader.drain(), event_type_registry_set_value);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].payload.size(), 16384u - record_header_size);
  EXPECT_EQ(events[0].as<registry_value_payload>().data.flags, string_flag_truncated);
}

TEST(registry_producer, paths_and_names_up_to_the_limit_of_strings_are_cut_with_their_length) {
  loaded_machine on(with({{u"Sluice", u"RingBytes", 4u << 20}}));
  client reader(on.machine);
  const std::u16string deep = std::u16string(key) + u"\\" + std::u16string(32767 - key.size() - 1, u'k');
  const std::u16string name(16383, u'n');
  ASSERT_EQ(deep.size() * 2, 0xfffeu);
  sim::registry_set_value({.key = deep, .value = name, .data = some_data});
  sim::registry_delete_value({.key = deep, .value = name});
  sim::registry_delete_key({.key = deep, .outcome = STATUS_SUCCESS});
  sim::registry_rename_key({.key = deep, .new_name = name, .outcome = STATUS_ACCESS_DENIED});
  sim::registry_create_key({.key = deep, .outcome = STATUS_SUCCESS});
  EXPECT_EQ(sim::registry_create_key({.key = name, .root = deep}), STATUS_OBJECT_NAME_INVALID)
      << "together longer than any string";
  const auto records = reader.drain();
  uint32_t seen = 0;
  for (const received& record : records) {
    string_field path{}, second{};
    switch (record.type) {
      case event_type_registry_create_key:
      case event_type_registry_delete_key: path = record.as<registry_key_payload>().key_path; break;
      case event_type_registry_set_value:
      case event_type_registry_delete_value:
        path = record.as<registry_value_payload>().key_path;
        second = record.as<registry_value_payload>().value_name;
        break;
      case event_type_registry_rename_key:
        path = record.as<registry_rename_payload>().key_path;
        second = record.as<registry_rename_payload>().new_name;
        break;
      default: continue;
    }
    ++seen;
    EXPECT_EQ(path.flags, string_flag_truncated);
    EXPECT_EQ(path.original_length, 0xfffeu);
    EXPECT_EQ(record.text(path), deep.substr(0, path.length / 2));
    EXPECT_LE(size_t{path.offset} + path.length, record.payload.size());
    if (second.length != 0) {
      EXPECT_EQ(second.original_length, name.size() * 2);
      EXPECT_EQ(record.text(second), name.substr(0, second.length / 2));
    }
  }
  EXPECT_EQ(seen, 6u);
}

TEST(registry_producer, the_longest_record_that_can_be_asked_for_is_delivered) {
  {
    loaded_machine on(with({{u"Sluice", u"MaxRecordBytes", 32 * 1024 + 8}}));
    EXPECT_EQ(on.status, STATUS_INVALID_PARAMETER) << "no batch would hold it";
  }
  loaded_machine on(with({{u"Sluice", u"MaxRecordBytes", 32 * 1024}, {u"Sluice", u"RegistryDataBytes", 1u << 20}}));
  ASSERT_EQ(on.status, STATUS_SUCCESS);
  client reader(on.machine);
  const std::u16string deep = std::u16string(key) + u"\\" + std::u16string(32000, u'k');
  const std::u16string name(16000, u'n');
  const std::vector<uint8_t> data(200'000, 7);
  sim::registry_set_value({.key = deep, .value = name, .data = data});
  const auto events = of_type(reader.drain(), event_type_registry_set_value);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].payload.size(), 32u * 1024 - record_header_size);
  const auto payload = events[0].as<registry_value_payload>();
  EXPECT_EQ(events[0].text(payload.key_path), deep.substr(0, payload.key_path.length / 2));
  EXPECT_EQ(events[0].text(payload.value_name), name.substr(0, payload.value_name.length / 2));
  EXPECT_EQ(bytes_of(events[0], payload.data), std::vector<uint8_t>(payload.data.length, 7));
  EXPECT_GT(payload.data.length, 0u);
}

TEST(registry_producer, odd_lengths_of_strings_lose_half_a_unit) {
  loaded_machine on(with());
  client reader(on.machine);
  const other_callback odd(above, [](REG_NOTIFY_CLASS what, void* information) {
    if (what == RegNtPreSetValueKey) static_cast<PREG_SET_VALUE_KEY_INFORMATION>(information)->ValueName->Length -= 1;
    return STATUS_SUCCESS;
  });
  sim::registry_set_value({.key = key, .value = u"odd"});
  const auto events = of_type(reader.drain(), event_type_registry_set_value);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].text(events[0].as<registry_value_payload>().value_name), u"od");
}

TEST(registry_producer, the_default_value_has_an_empty_name) {
  loaded_machine on(with());
  client reader(on.machine);
  sim::registry_set_value({.key = key, .value = u"", .data = some_data});
  const auto events = of_type(reader.drain(), event_type_registry_set_value);
  ASSERT_EQ(events.size(), 1u);
  const auto payload = events[0].as<registry_value_payload>();
  EXPECT_EQ(payload.value_name.length, 0u);
  EXPECT_EQ(payload.value_name.flags, 0u);
}

TEST(registry_producer, without_memory_an_event_is_bare_but_not_lost) {
  loaded_machine on(with());
  client reader(on.machine);
  const std::vector<uint8_t> data(3000, 1);  // longer than a slot
  // The first failure is that of the path, which the kernel takes from pool; the second that of the capture.
  on.machine.fail_call(sim::machine::failure::pool_allocation, 2);
  sim::registry_set_value({.key = key, .value = u"v", .data = data});
  on.machine.fail_call(sim::machine::failure::pool_allocation, 1);
  sim::registry_set_value({.key = key, .value = u"v", .data = some_data});
  on.machine.fail_call(sim::machine::failure::pool_allocation, 1);
  sim::registry_create_key({.key = u"Acme", .root = software});
  on.machine.fail_call(sim::machine::failure::pool_allocation, 0);
  const auto records = reader.drain();
  const auto sets = of_type(records, event_type_registry_set_value);
  ASSERT_EQ(sets.size(), 2u);
  const auto bare = sets[0].as<registry_value_payload>();
  EXPECT_EQ(bare.outcome.status, STATUS_SUCCESS);
  EXPECT_EQ(bare.key_path.flags, string_flag_unavailable);
  EXPECT_EQ(bare.value_name.flags, string_flag_unavailable);
  EXPECT_EQ(bare.data.flags, string_flag_unavailable);
  const auto pathless = sets[1].as<registry_value_payload>();
  EXPECT_EQ(pathless.key_path.flags, string_flag_unavailable);
  EXPECT_EQ(sets[1].text(pathless.value_name), u"v");
  EXPECT_EQ(bytes_of(sets[1], pathless.data), std::vector<uint8_t>(some_data, some_data + 5));
  const auto creates = of_type(records, event_type_registry_create_key);
  ASSERT_EQ(creates.size(), 1u);
  const auto relative = creates[0].as<registry_key_payload>();
  EXPECT_EQ(creates[0].text(relative.key_path), u"Acme");
  EXPECT_EQ(relative.outcome.flags, registry_flag_relative_path);
}

TEST(registry_producer, more_operations_at_once_than_slots_go_through_pool) {
  loaded_machine on(with());
  client reader(on.machine);
  constexpr uint32_t threads = 80;  // 64 slots
  std::atomic<uint32_t> inside{0};
  const other_callback holds(below, [&](REG_NOTIFY_CLASS what, void*) {
    if (what == RegNtPreSetValueKey) {
      ++inside;
      while (inside.load() < threads) std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    return STATUS_SUCCESS;
  });
  std::vector<std::thread> setters;
  for (uint32_t i = 0; i < threads; ++i) {
    setters.emplace_back([&, i] {
      sim::activity here(on.machine, i % 2, 700, 1000 + 4 * i);
      sim::registry_set_value({.key = key, .value = u"v", .data = some_data});
    });
  }
  for (std::thread& setter : setters) setter.join();
  EXPECT_EQ(of_type(reader.drain(), event_type_registry_set_value).size(), threads);
}

TEST(registry_producer, the_registration_falls_back_and_says_so) {
  const std::pair<sim::kernel_level, protocol::registration> expected[] = {
      {sim::kernel_level::nt52, protocol::registration::plain}, {sim::kernel_level::vista, protocol::registration::ex}};
  for (const auto& [level, registration] : expected) {
    loaded_machine on(with({}, level));
    client reader(on.machine);
    EXPECT_EQ(reader.capabilities().registry_registration, registration);
  }
  sim::machine machine(with());
  sim::activity starter(machine, 0, 4, 8);
  machine.fail_call(sim::machine::failure::notify_registration, 4);  // process, thread, image, and CmRegisterCallbackEx
  ASSERT_EQ(machine.load_driver("Sluice", &test_driver_entry), STATUS_SUCCESS);
  {
    client reader(machine);
    EXPECT_EQ(reader.capabilities().registry_registration, protocol::registration::plain);
    sim::registry_delete_key({.key = key, .outcome = STATUS_ACCESS_DENIED});
    const auto events = of_type(reader.drain(), event_type_registry_delete_key);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].as<registry_key_payload>().outcome.status, STATUS_ACCESS_DENIED)
        << "the outcome is a matter of the kernel, not of the registration";
  }
  EXPECT_EQ(machine.unload_driver("Sluice"), STATUS_SUCCESS);
}

TEST(registry_producer, an_altitude_that_is_taken_leads_to_the_one_below) {
  sim::machine machine(with());
  sim::activity starter(machine, 0, 4, 8);
  const other_callback first(u"385230.9", [](REG_NOTIFY_CLASS, void*) { return STATUS_SUCCESS; });
  const other_callback second(u"385230.8", [](REG_NOTIFY_CLASS, void*) { return STATUS_SUCCESS; });
  ASSERT_EQ(machine.load_driver("Sluice", &test_driver_entry), STATUS_SUCCESS);
  {
    client reader(machine);
    EXPECT_EQ(reader.capabilities().registry_registration, protocol::registration::ex);
  }
  EXPECT_EQ(machine.unload_driver("Sluice"), STATUS_SUCCESS);
}

TEST(registry_producer, unloading_between_before_and_after_leaves_nothing) {
  for (const size_t data_bytes : {10u, 3000u}) {  // a slot, and pool
    loaded_machine on(with());
    const std::vector<uint8_t> data(data_bytes);
    std::atomic<bool> inside{false}, may_go_on{false};
    {
      const other_callback holds(below, [&](REG_NOTIFY_CLASS what, void*) {
        if (what == RegNtPreSetValueKey) {
          inside = true;
          while (!may_go_on.load()) std::this_thread::sleep_for(std::chrono::microseconds(100));
        }
        return STATUS_SUCCESS;
      });
      std::thread setter([&] {
        sim::activity here(on.machine, 1, 700, 704);
        EXPECT_EQ(sim::registry_set_value({.key = key, .value = u"v", .data = data}), STATUS_SUCCESS);
      });
      while (!inside.load()) std::this_thread::sleep_for(std::chrono::microseconds(100));
      EXPECT_EQ(on.machine.unload_driver("Sluice"), STATUS_SUCCESS);
      EXPECT_EQ(on.machine.in_use().pool_blocks, 0u);
      may_go_on = true;
      setter.join();
    }
    on.status = STATUS_UNSUCCESSFUL;  // unloaded already
  }
}

TEST(registry_producer, it_loads_and_unloads_under_load) {
  for (int round = 0; round < 5; ++round) {
    loaded_machine on(with());
    ASSERT_EQ(on.status, STATUS_SUCCESS);
    std::vector<std::thread> threads;
    std::atomic<bool> stop{false};
    for (uint32_t cpu = 0; cpu < 2; ++cpu) {
      threads.emplace_back([&, cpu] {
        sim::activity here(on.machine, cpu, 700, 704 + 4 * cpu);
        const std::vector<uint8_t> data(cpu == 0 ? 10 : 3000);
        while (!stop.load()) {
          sim::registry_create_key({.key = u"Acme", .root = software});
          sim::registry_set_value({.key = key, .value = u"v", .data = data});
          sim::registry_delete_key({.key = key});
        }
      });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_EQ(on.machine.unload_driver("Sluice"), STATUS_SUCCESS);
    on.status = STATUS_UNSUCCESSFUL;
    stop = true;
    for (std::thread& thread : threads) thread.join();
  }
}

TEST(registry_producer, with_tiny_rings_under_perturbed_load_every_event_is_accounted_for) {
  for (const uint64_t seed : {1u, 2u, 3u}) {
    sim::machine_options options = with({{u"Sluice", u"RingBytes", 16 * 1024}});
    options.seed = seed;  // callbacks at APC_LEVEL, threads moved between CPUs
    loaded_machine on(options);
    ASSERT_EQ(on.status, STATUS_SUCCESS);
    client reader(on.machine);
    std::vector<std::thread> threads;
    for (uint32_t cpu = 0; cpu < 2; ++cpu) {
      threads.emplace_back([&, cpu] {
        sim::activity here(on.machine, cpu, 700, 704 + 4 * cpu);
        const std::vector<uint8_t> data(300);
        for (int i = 0; i < 300; ++i) {
          sim::registry_create_key({.key = u"Acme", .root = software});
          sim::registry_set_value({.key = key, .value = u"v", .data = data});
          sim::registry_delete_value({.key = key, .value = u"v"});
          sim::registry_delete_key({.key = key});
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    const auto records = reader.drain();
    const auto rows = reader.statistics();
    const sim::raised_counts raised = sim::raised();
    const std::pair<uint16_t, uint64_t> expected[] = {{event_type_registry_create_key, raised.registry_create_key},
                                                      {event_type_registry_set_value, raised.registry_set_value},
                                                      {event_type_registry_delete_key, raised.registry_delete_key},
                                                      {event_type_registry_delete_value, raised.registry_delete_value}};
    uint64_t dropped = 0;
    for (const auto& [type, count] : expected) {
      const account_row sum = sum_of(rows, type);
      EXPECT_EQ(count, 600u);
      EXPECT_EQ(sum.attempted, count) << type;
      EXPECT_TRUE(sum.balances());
      EXPECT_EQ(sum.committed, of_type(records, type).size()) << type;
      dropped += sum.dropped_total();
    }
    EXPECT_GT(dropped, 0u) << "the rings were to overflow";
  }
}

}  // namespace
}  // namespace sluice::test
