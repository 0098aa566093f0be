// Filters, seen from a client: what is kept, what is counted, what is refused.
#include "tests/kernel_port/filter_test_support.h"

namespace sluice::test {
namespace {

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
