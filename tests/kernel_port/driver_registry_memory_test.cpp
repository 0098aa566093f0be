// Registry events and memory: the caller's, which changes and faults; long strings and data; too little of
// our own.
#include "tests/kernel_port/driver_registry_support.h"

namespace sluice::test {
namespace {

// Before Windows 8 the callback is given the process' own memory.
TEST(registry_producer, data_that_faults_is_unavailable_and_its_event_is_not_lost) {
  for (const size_t readable : {size_t{0}, size_t{1}, size_t{4095}, size_t{4096}}) {
    loaded_machine on(with({{u"Sluice", u"RegistryDataBytes", 8192}}, sim::kernel_level::vista));
    client reader(on.machine);
    sim::user_memory data(5000);
    data.accessible_up_to(readable);
    EXPECT_EQ(sim::registry_set_value({.key = key, .value = u"v", .user_data = &data}),
              STATUS_ACCESS_VIOLATION);
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

TEST(registry_producer, data_at_no_address_is_unavailable) {
  loaded_machine on(with());
  client reader(on.machine);
  const other_callback odd(above, [](REG_NOTIFY_CLASS what, void* information) {
    if (what == RegNtPreSetValueKey) static_cast<PREG_SET_VALUE_KEY_INFORMATION>(information)->Data = nullptr;
    return STATUS_SUCCESS;
  });
  sim::registry_set_value({.key = key, .value = u"v", .data = some_data});
  const auto events = of_type(reader.drain(), event_type_registry_set_value);
  ASSERT_EQ(events.size(), 1u);
  const auto payload = events[0].as<registry_value_payload>();
  EXPECT_EQ(payload.data.flags, string_flag_unavailable);
  EXPECT_EQ(payload.data.original_length, 5u);
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

// A key's name in memory of the process that goes away: absolute or below a root, the event comes without it.
TEST(registry_producer, a_name_that_faults_is_unavailable_and_its_event_is_not_lost) {
  loaded_machine on(with());
  client reader(on.machine);
  sim::user_memory text(64);
  text.accessible_up_to(7);
  UNICODE_STRING gone{64, 64, static_cast<PWSTR>(text.address())};
  const other_callback odd(above, [&](REG_NOTIFY_CLASS what, void* information) {
    if (what == RegNtPreCreateKeyEx) static_cast<PREG_CREATE_KEY_INFORMATION>(information)->CompleteName = &gone;
    return STATUS_SUCCESS;
  });
  sim::registry_create_key({.key = key});
  sim::registry_create_key({.key = u"Acme", .root = software});
  const auto events = of_type(reader.drain(), event_type_registry_create_key);
  ASSERT_EQ(events.size(), 2u);
  for (const received& event : events) {
    const auto payload = event.as<registry_key_payload>();
    EXPECT_EQ(payload.key_path.flags, string_flag_unavailable);
    EXPECT_EQ(payload.key_path.length, 0u);
    EXPECT_EQ(payload.key_path.original_length, 0u);
    EXPECT_EQ(payload.outcome.flags & registry_flag_relative_path, 0u);
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
    ASSERT_EQ(sim::registry_set_value({.key = key, .value = u"v", .type = REG_NONE, .data = data}),
              STATUS_SUCCESS);
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
      case event_type_registry_delete_key:
        path = record.as<registry_key_payload>().key_path;
        break;
      case event_type_registry_set_value:
      case event_type_registry_delete_value:
        path = record.as<registry_value_payload>().key_path;
        second = record.as<registry_value_payload>().value_name;
        break;
      case event_type_registry_rename_key:
        path = record.as<registry_rename_payload>().key_path;
        second = record.as<registry_rename_payload>().new_name;
        break;
      default:
        continue;
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
  loaded_machine on(
      with({{u"Sluice", u"MaxRecordBytes", 32 * 1024}, {u"Sluice", u"RegistryDataBytes", 1u << 20}}));
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
    if (what == RegNtPreSetValueKey)
      static_cast<PREG_SET_VALUE_KEY_INFORMATION>(information)->ValueName->Length -= 1;
    return STATUS_SUCCESS;
  });
  sim::registry_set_value({.key = key, .value = u"odd"});
  const auto events = of_type(reader.drain(), event_type_registry_set_value);
  ASSERT_EQ(events.size(), 1u);
  const string_field name = events[0].as<registry_value_payload>().value_name;
  EXPECT_EQ(events[0].text(name), u"od");
  EXPECT_EQ(name.original_length, 4u);
  EXPECT_EQ(name.flags, 0u);
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

TEST(registry_producer, what_was_taken_from_pool_is_given_back_with_its_operation) {
  loaded_machine on(with({{u"Sluice", u"RegistryDataBytes", 8192}}));
  client reader(on.machine);
  const std::vector<uint8_t> longer_than_a_slot(6000, 1);
  (void)reader.drain();
  const uint64_t before = on.machine.in_use().pool_blocks;
  for (int i = 0; i < 10; ++i) sim::registry_set_value({.key = key, .value = u"v", .data = longer_than_a_slot});
  EXPECT_EQ(on.machine.in_use().pool_blocks, before);
  EXPECT_EQ(of_type(reader.drain(), event_type_registry_set_value).size(), 10u);
}

TEST(registry_producer, more_operations_at_once_than_slots_go_through_pool) {
  loaded_machine on(with());
  client reader(on.machine);
  constexpr uint32_t threads = 80;  // 64 slots
  std::atomic<uint32_t> inside{0};
  const other_callback holds(below, [&](REG_NOTIFY_CLASS what, void*) {
    if (what == RegNtPreSetValueKey) {
      ++inside;
      eventually([&] { return inside.load() >= threads; });
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

}  // namespace
}  // namespace sluice::test
