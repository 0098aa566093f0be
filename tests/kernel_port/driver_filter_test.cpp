// Filters, seen from a client: what is kept, what is counted, what is refused.
#include "tests/kernel_port/driver_registry_support.h"
#include "tests/kernel_port/filter_test_support.h"

namespace sluice::test {
namespace {

constexpr int64_t one_second = 10'000'000;  // ticks of the simulated counter

constexpr uint64_t bit(uint16_t type) { return uint64_t{1} << type; }

void load(uint32_t pid, std::u16string path) { sim::load_image({.pid = pid, .base = 1, .path = std::move(path)}); }

void start(uint32_t pid, uint32_t parent, std::u16string image = u"\\x.exe", std::u16string command = u"x") {
  EXPECT_EQ(sim::create_process({.pid = pid, .parent_pid = parent, .image_path = image, .command_line = command}),
            STATUS_SUCCESS);
}

std::vector<uint32_t> pids_of(const std::vector<received>& records, uint16_t type) {
  std::vector<uint32_t> pids;
  for (const received& record : of_type(records, type)) {
    uint32_t pid = 0;
    std::memcpy(&pid, record.payload.data() + sizeof(event_context), sizeof pid);
    pids.push_back(pid);
  }
  return pids;
}
using pids = std::vector<uint32_t>;

TEST(driver_filter, without_one_nothing_is_filtered) {
  loaded_machine on;
  client reader(on.machine);
  load(700, u"\\a.dll");
  EXPECT_EQ(of_type(reader.drain(), event_type_image_load).size(), 1u);
  EXPECT_EQ(filtered_of(reader, event_type_image_load).filtered_total(), 0u);
  std::vector<uint8_t> buffer(4096);
  uint64_t bytes = 0;
  EXPECT_EQ(reader.file.control(protocol::code_filter, {}, buffer, bytes), STATUS_SUCCESS);
  filter_state state{1, 1, 1};
  ASSERT_EQ(bytes, sizeof state);
  std::memcpy(&state, buffer.data(), sizeof state);
  EXPECT_EQ(state.generation, 0u);
  EXPECT_EQ(state.message_bytes, 0u);
  EXPECT_EQ(state.untracked_processes, 0u);
}

TEST(driver_filter, a_type_that_is_not_wanted_is_counted_by_reason_and_stays_part_of_the_account) {
  loaded_machine on;
  client reader(on.machine);
  set_filter(reader, {.types = ~bit(event_type_image_load)});
  load(700, u"\\a.dll");
  start(1000, 500);
  const auto records = reader.drain();
  EXPECT_TRUE(of_type(records, event_type_image_load).empty());
  EXPECT_EQ(of_type(records, event_type_process_create).size(), 1u);
  const auto images = filtered_of(reader, event_type_image_load);
  EXPECT_EQ(images.account.attempted, 1u);
  EXPECT_EQ(images.account.committed, 0u);
  EXPECT_EQ(images.filtered[static_cast<uint32_t>(filter_reason::type)], 1u);
  EXPECT_EQ(images.filtered_total(), 1u);
}

TEST(driver_filter, what_was_filtered_is_counted_since_load_whatever_filter_comes_next) {
  loaded_machine on;
  client reader(on.machine);
  set_filter(reader, {.types = ~bit(event_type_image_load)});
  load(700, u"\\a.dll");
  set_filter(reader, {.images = {{u"\\a.dll", true}}});
  load(700, u"\\a.dll");
  clear_filter(reader);
  load(700, u"\\a.dll");
  const auto images = filtered_of(reader, event_type_image_load);
  EXPECT_EQ(images.account.attempted, 3u);
  EXPECT_EQ(images.account.committed, 1u);
  EXPECT_EQ(images.filtered[static_cast<uint32_t>(filter_reason::type)], 1u);
  EXPECT_EQ(images.filtered[static_cast<uint32_t>(filter_reason::image)], 1u);
}

TEST(driver_filter, the_one_in_force_can_be_read_back_as_it_was_sent) {
  loaded_machine on;
  client reader(on.machine);
  const filter_parts parts{.processes = {{700, filter_rule_exclude}}, .keys = {{u"\\REGISTRY\\A"}, {u"\\REGISTRY\\b", true}}};
  const uint64_t generation = set_filter(reader, parts);
  EXPECT_EQ(generation, 1u);
  std::vector<uint8_t> buffer(sizeof(filter_state) + parts.message().size());
  uint64_t bytes = 0;
  EXPECT_EQ(reader.file.control(protocol::code_filter, {}, buffer, bytes), STATUS_SUCCESS);
  EXPECT_EQ(bytes, buffer.size());
  EXPECT_EQ(std::vector<uint8_t>(buffer.begin() + sizeof(filter_state), buffer.end()), parts.message());
  // Too short: how long it would be.
  std::vector<uint8_t> small(sizeof(filter_state) + 1);
  EXPECT_EQ(reader.file.control(protocol::code_filter, {}, small, bytes), STATUS_BUFFER_OVERFLOW);
  EXPECT_EQ(bytes, sizeof(filter_state));
  filter_state state;
  std::memcpy(&state, small.data(), sizeof state);
  EXPECT_EQ(state.message_bytes, parts.message().size());
  EXPECT_EQ(clear_filter(reader), 2u);
  EXPECT_EQ(reader.file.control(protocol::code_filter, {}, buffer, bytes), STATUS_SUCCESS);
  EXPECT_EQ(bytes, sizeof(filter_state));
}

TEST(driver_filter, a_wrong_message_is_answered_with_its_error_and_changes_nothing) {
  loaded_machine on;
  client reader(on.machine);
  set_filter(reader, {.types = ~bit(event_type_image_load)});
  const auto refused = [&](std::vector<uint8_t> message, filter_error error, uint32_t offset) {
    filter_answer answer{};
    EXPECT_EQ(send_filter(reader, message, answer), STATUS_SUCCESS);
    EXPECT_EQ(answer.error, static_cast<uint32_t>(error)) << name_of(static_cast<filter_error>(answer.error));
    EXPECT_EQ(answer.offset, offset);
    EXPECT_EQ(answer.generation, 1u);
  };
  refused({}, filter_error::too_short, 0);
  refused(std::vector<uint8_t>(127), filter_error::too_short, 0);
  refused(std::vector<uint8_t>(128), filter_error::magic, 0);
  const std::vector<uint8_t> twice = filter_parts{.processes = {{8, 0}, {4, 0}, {8, filter_rule_exclude}}}.message();
  refused(twice, filter_error::process_twice, 128 + 16);
  const std::vector<uint8_t> both = filter_parts{.keys = {{u"\\A\\b"}, {u"\\a\\c"}, {u"\\a\\B", true}}}.message();
  refused(both, filter_error::path_contradiction, 128 + 16);
  filter_answer answer{};
  uint64_t bytes = 0;
  EXPECT_EQ(reader.file.control(protocol::code_set_filter, filter_parts{}.message(),
                                {reinterpret_cast<uint8_t*>(&answer), sizeof answer - 1}, bytes),
            STATUS_BUFFER_TOO_SMALL)
      << "nobody could tell whether it was taken";
  EXPECT_EQ(reader.file.control(protocol::code_clear_filter, {}, {}, bytes), STATUS_BUFFER_TOO_SMALL);
  EXPECT_EQ(reader.file.control(protocol::code_filter, {}, {}, bytes), STATUS_BUFFER_TOO_SMALL);
  load(700, u"\\a.dll");
  EXPECT_EQ(filtered_because(reader, event_type_image_load, filter_reason::type), 1u) << "the filter before stays";
}

TEST(driver_filter, a_process_that_is_excluded_is_filtered_and_others_are_not) {
  loaded_machine on;
  client reader(on.machine);
  on.starter.become(0, 700, 704);
  set_filter(reader, {.processes = {{700, filter_rule_exclude}}});
  load(700, u"\\a.dll");
  on.starter.become(0, 800, 804);
  load(800, u"\\b.dll");
  EXPECT_EQ(pids_of(reader.drain(), event_type_image_load), pids{800});
  EXPECT_EQ(filtered_because(reader, event_type_image_load, filter_reason::process), 1u);
}

TEST(driver_filter, an_event_is_kept_if_it_is_about_or_done_by_a_wanted_process) {
  loaded_machine on;
  client reader(on.machine);
  start(700, 4);
  set_filter(reader, {.processes = {{800, 0}}});
  on.starter.become(0, 800, 804);
  EXPECT_EQ(sim::create_thread(700, 708, 1), STATUS_SUCCESS);  // by 800 in 700
  on.starter.become(0, 700, 708);
  EXPECT_EQ(sim::create_thread(700, 712, 1), STATUS_SUCCESS);  // by 700 in 700
  const auto records = of_type(reader.drain(), event_type_thread_create);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].as<thread_payload>().creator_pid, 800u);
}

TEST(driver_filter, process_rules_judge_only_the_types_they_are_for) {
  loaded_machine on;
  client reader(on.machine);
  on.starter.become(0, 700, 704);
  set_filter(reader, {.process_types = ~bit(event_type_image_load), .processes = {{700, filter_rule_exclude}}});
  load(700, u"\\a.dll");
  EXPECT_EQ(of_type(reader.drain(), event_type_image_load).size(), 1u);
}

TEST(driver_filter, descendants_follow_whether_they_start_before_or_after_the_filter) {
  loaded_machine on;
  client reader(on.machine);
  // 500 is older than the driver. 1000 and 1100 are its children, 1200 a grandchild; 2000 is nobody's.
  start(1000, 500);
  start(1100, 500);
  start(1200, 1100);
  start(2000, 4);
  (void)reader.drain();
  set_filter(reader, {.processes = {{500, filter_rule_descendants}, {1100, filter_rule_exclude}}});
  start(1300, 1200);
  start(2100, 2000);
  const auto judged = [&](uint32_t pid) {
    on.starter.become(0, pid, pid + 4);
    load(pid, u"\\a.dll");
    on.starter.become(0, 4, 8);
  };
  for (const uint32_t pid : {500u, 1000u, 1100u, 1200u, 1300u, 2000u, 2100u}) judged(pid);
  const auto records = reader.drain();
  EXPECT_EQ(pids_of(records, event_type_process_create), pids{1300});
  EXPECT_EQ(pids_of(records, event_type_image_load), (pids{500, 1000, 1200, 1300}))
      << "the exclude of 1100 speaks for itself alone";
}

TEST(driver_filter, the_nearest_ancestor_with_a_rule_decides) {
  loaded_machine on;
  client reader(on.machine);
  start(1000, 500);
  start(1100, 1000);
  set_filter(reader, {.processes = {{500, filter_rule_exclude | filter_rule_descendants}, {1000, filter_rule_descendants}}});
  start(1200, 1100);
  start(1300, 500);
  EXPECT_EQ(pids_of(reader.drain(), event_type_process_create), (pids{1000, 1100, 1200}));
}

TEST(driver_filter, children_of_a_process_that_is_gone_still_descend_from_its_ancestors) {
  loaded_machine on;
  client reader(on.machine);
  start(1000, 500);
  start(1100, 1000);
  EXPECT_EQ(sim::exit_process(1000, 0), STATUS_SUCCESS);
  (void)reader.drain();
  set_filter(reader, {.processes = {{500, filter_rule_descendants}}});
  start(1200, 1100);
  start(1300, 600);
  EXPECT_EQ(pids_of(reader.drain(), event_type_process_create), pids{1200});
}

TEST(driver_filter, a_rule_ends_with_its_process_and_its_exit_is_still_judged_by_it) {
  loaded_machine on;
  client reader(on.machine);
  start(1000, 500);
  (void)reader.drain();
  set_filter(reader, {.processes = {{1000, filter_rule_exclude | filter_rule_descendants}}});
  on.starter.become(0, 1000, 1004);
  start(1100, 1000);
  EXPECT_EQ(sim::exit_process(1000, 0), STATUS_SUCCESS);
  EXPECT_EQ(filtered_because(reader, event_type_process_exit, filter_reason::process), 1u);
  on.starter.become(0, 500, 504);
  start(1000, 500);  // another process with the same number
  on.starter.become(0, 1000, 1008);
  start(1200, 1000);
  on.starter.become(0, 1100, 1104);
  start(1300, 1100);  // a descendant of the first one
  EXPECT_EQ(pids_of(reader.drain(), event_type_process_create), (pids{1000, 1200}));
}

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

TEST(driver_filter, a_rate_lets_a_burst_through_and_then_so_many_a_second) {
  loaded_machine on;
  client reader(on.machine);
  on.machine.stop_counter();  // a second passes when the test says so
  set_filter(reader, {.type_rates = {{event_type_image_load, 0, {1, 5}, 0}}});
  for (int i = 0; i < 100; ++i) load(700, u"\\a.dll");
  EXPECT_EQ(filtered_because(reader, event_type_image_load, filter_reason::type_rate), 95u);
  on.machine.move_counter(2 * one_second);
  for (int i = 0; i < 100; ++i) load(700, u"\\a.dll");
  EXPECT_EQ(filtered_because(reader, event_type_image_load, filter_reason::type_rate), 95u + 98);
  on.machine.run_counter();
  EXPECT_EQ(of_type(reader.drain(), event_type_image_load).size(), 7u);
  start(1000, 500);
  EXPECT_EQ(of_type(reader.drain(), event_type_process_create).size(), 1u) << "other types have no bucket";
}

TEST(driver_filter, a_rate_per_process_gives_each_process_its_own_bucket) {
  loaded_machine on;
  client reader(on.machine);
  on.machine.stop_counter();
  set_filter(reader, {.process_rate_types = bit(event_type_image_load), .process_rate = {1, 3}});
  for (const uint32_t pid : {700u, 800u, 900u}) {
    on.starter.become(0, pid, pid + 4);
    for (int i = 0; i < 20; ++i) load(pid, u"\\a.dll");
  }
  on.machine.run_counter();
  const auto kept = pids_of(reader.drain(), event_type_image_load);
  for (const uint32_t pid : {700u, 800u, 900u}) EXPECT_EQ(std::count(kept.begin(), kept.end(), pid), 3) << pid;
  EXPECT_EQ(filtered_because(reader, event_type_image_load, filter_reason::process_rate), 3u * 17);
}

TEST(driver_filter, a_repeat_is_what_has_the_same_key_fields) {
  loaded_machine on(with());
  client reader(on.machine);
  on.starter.become(0, 700, 704);
  constexpr uint32_t hour = max_repeat_window_ms;
  set_filter(reader, {.repeat_types = ~uint64_t{0}, .repeat_window_ms = hour});
  const auto repeats = [&](uint16_t type) { return filtered_because(reader, type, filter_reason::repeat); };

  load(700, u"\\a.dll");
  load(700, u"\\a.dll");
  load(700, u"\\b.dll");
  load(800, u"\\a.dll");
  EXPECT_EQ(repeats(event_type_image_load), 1u);

  const uint8_t one[] = {1}, two[] = {2};
  sim::registry_set_value({.key = key, .value = u"v", .data = one});
  sim::registry_set_value({.key = key, .value = u"v", .data = two});
  sim::registry_set_value({.key = key, .value = u"w", .data = one});
  sim::registry_set_value({.key = key, .value = u"v", .type = REG_BINARY, .data = one});
  EXPECT_EQ(repeats(event_type_registry_set_value), 0u);
  sim::registry_set_value({.key = key, .value = u"v", .data = two});
  sim::registry_set_value({.key = key, .value = u"v", .data = one});
  EXPECT_EQ(repeats(event_type_registry_set_value), 2u);
  on.starter.become(0, 800, 804);
  sim::registry_set_value({.key = key, .value = u"v", .data = one});
  EXPECT_EQ(repeats(event_type_registry_set_value), 2u) << "another process";
  on.starter.become(1, 700, 708);
  sim::registry_set_value({.key = key, .value = u"v", .data = one});
  EXPECT_EQ(repeats(event_type_registry_set_value), 2u) << "another CPU";

  start(1000, 500, u"\\x.exe", u"x -a");
  start(1100, 500, u"\\x.exe", u"x -b");
  start(1200, 500, u"\\x.exe", u"x -a");
  EXPECT_EQ(repeats(event_type_process_create), 1u);
  EXPECT_EQ(sim::create_thread(1000, 1004, 7), STATUS_SUCCESS);
  EXPECT_EQ(sim::create_thread(1000, 1008, 7), STATUS_SUCCESS);
  EXPECT_EQ(sim::create_thread(1000, 1012, 8), STATUS_SUCCESS);
  EXPECT_EQ(repeats(event_type_thread_create), 1u);
  EXPECT_EQ(sim::exit_process(1000, 0), STATUS_SUCCESS);
  EXPECT_EQ(sim::exit_process(1100, 0), STATUS_SUCCESS);
  EXPECT_EQ(repeats(event_type_process_exit), 0u);
}

TEST(driver_filter, a_repeat_after_the_window_is_kept) {
  loaded_machine on;
  client reader(on.machine);
  set_filter(reader, {.repeat_types = bit(event_type_image_load), .repeat_window_ms = 1000});
  on.machine.stop_counter();
  load(700, u"\\a.dll");
  on.machine.move_counter(one_second - 1);
  load(700, u"\\a.dll");
  EXPECT_EQ(filtered_because(reader, event_type_image_load, filter_reason::repeat), 1u);
  on.machine.move_counter(1);
  load(700, u"\\a.dll");
  on.machine.run_counter();
  EXPECT_EQ(of_type(reader.drain(), event_type_image_load).size(), 2u);
}

// What is filtered for another reason is not remembered as kept.
TEST(driver_filter, an_event_without_a_token_is_no_reason_to_suppress_the_next) {
  loaded_machine on;
  client reader(on.machine);
  on.machine.stop_counter();  // no bucket gains a token
  set_filter(reader, {.repeat_types = bit(event_type_image_load), .repeat_window_ms = max_repeat_window_ms,
                      .type_rates = {{event_type_image_load, 0, {1, 1}, 0}}});
  load(700, u"\\a.dll");
  load(700, u"\\b.dll");
  load(700, u"\\b.dll");
  EXPECT_EQ(filtered_because(reader, event_type_image_load, filter_reason::repeat), 0u);
  EXPECT_EQ(filtered_because(reader, event_type_image_load, filter_reason::type_rate), 2u);
  on.machine.run_counter();
}

TEST(driver_filter, own_events_are_judged_by_type_repeat_and_rate) {
  loaded_machine on;
  client reader(on.machine);
  channel& events = sensor_under_test->events();
  uint16_t first = 0, second = 0;
  ASSERT_EQ(sensor_under_test->types().register_type({"first", 1, nullptr, 0}, first), STATUS_SUCCESS);
  ASSERT_EQ(sensor_under_test->types().register_type({"second", 1, nullptr, 0}, second), STATUS_SUCCESS);
  const uint32_t payload[] = {1, 2, 3};
  set_filter(reader, {.types = ~bit(first), .repeat_types = bit(second), .repeat_window_ms = max_repeat_window_ms});
  EXPECT_EQ(events.write(first, 1, payload, 12), reserve_status::filtered);
  EXPECT_EQ(events.write(second, 1, payload, 12), reserve_status::ok);
  EXPECT_EQ(events.write(second, 1, payload, 8), reserve_status::ok);
  {
    const dispatch_section at_dispatch_level;
    EXPECT_EQ(events.write(second, 1, payload, 12), reserve_status::filtered);
    EXPECT_EQ(events.write(second, 1, payload + 1, 8), reserve_status::ok);
  }
  kernel_record record;
  uint32_t cpu;
  EXPECT_EQ(events.reserve(first, 1, 8, record, cpu), reserve_status::filtered);
  on.machine.stop_counter();
  set_filter(reader, {.type_rates = {{second, 0, {1, 2}, 0}}});
  uint32_t kept = 0;
  for (int i = 0; i < 20; ++i) kept += events.write(second, 1, payload, 12) == reserve_status::ok;
  EXPECT_EQ(kept, 2u);
  on.machine.run_counter();
  const auto records = reader.drain();
  EXPECT_EQ(of_type(records, first).size(), 0u);
  EXPECT_EQ(of_type(records, second).size(), 3u + kept);
  EXPECT_EQ(filtered_because(reader, first, filter_reason::type), 2u);
  EXPECT_EQ(filtered_because(reader, second, filter_reason::type_rate), 20u - kept);
}

TEST(driver_filter, declarations_losses_and_anchors_are_never_filtered) {
  loaded_machine on;
  client reader(on.machine);
  (void)reader.drain();
  set_filter(reader, {.types = 0});
  uint16_t type = 0;
  ASSERT_EQ(sensor_under_test->types().register_type({"mine", 1, nullptr, 0}, type), STATUS_SUCCESS);
  EXPECT_EQ(of_type(reader.drain(), record_type_type_declaration).size(), 1u);
}

// Every allocation that setting a filter makes, at each of its occurrences.
TEST(driver_filter, without_memory_the_filter_before_stays) {
  loaded_machine on;
  client reader(on.machine);
  set_filter(reader, {.types = ~bit(event_type_image_load)});
  const filter_parts next{.repeat_types = 1, .repeat_window_ms = 1, .process_rate_types = 1, .process_rate = {1, 1},
                          .processes = {{500, filter_rule_descendants}}, .images = {{u"\\a"}}, .keys = {{u"\\b"}},
                          .type_rates = {{event_type_image_load, 0, {1, 1}, 0}}};
  const uint64_t held = on.machine.in_use().pool_blocks;
  uint32_t failures = 0;
  for (uint64_t nth = 1;; ++nth) {
    on.machine.fail_call(sim::machine::failure::pool_allocation, nth);
    filter_answer answer{};
    const NTSTATUS status = send_filter(reader, next.message(), answer);
    on.machine.fail_call(sim::machine::failure::pool_allocation, 0);
    if (NT_SUCCESS(status)) break;
    ++failures;
    ASSERT_LT(nth, 100u);
    EXPECT_EQ(status, STATUS_INSUFFICIENT_RESOURCES);
    const uint64_t now = on.machine.in_use().pool_blocks;
    EXPECT_LE(now, held + 1) << "the table of letters, once made, stays";
    load(700, u"\\x.dll");
    EXPECT_EQ(filtered_because(reader, event_type_image_load, filter_reason::type), failures);
  }
  EXPECT_GE(failures, 8u);
}

}  // namespace
}  // namespace sluice::test
