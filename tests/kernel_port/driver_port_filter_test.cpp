// A client's own filter, over the port: it chooses for this client alone, and follows processes by the stream.
#include "kernel_port/driver/client_filter.h"
#include "tests/kernel_port/driver_port_support.h"
#include "tests/kernel_port/driver_registry_support.h"
#include "tests/kernel_port/filter_test_support.h"

namespace sluice::test {
namespace {

filter_answer set_own_filter(port_client& client, std::span<const uint8_t> message) {
  filter_answer answer{};
  uint8_t out[sizeof answer] = {};
  uint64_t bytes = 0;
  EXPECT_EQ(client.send(protocol::code_set_client_filter, message, out, bytes), STATUS_SUCCESS);
  EXPECT_EQ(bytes, sizeof answer);
  std::memcpy(&answer, out, sizeof answer);
  return answer;
}

void set_own_filter(port_client& client, const filter_parts& parts) {
  const filter_answer answer = set_own_filter(client, parts.message());
  EXPECT_EQ(answer.error, 0u) << name_of(static_cast<filter_error>(answer.error)) << " at " << answer.offset;
}

void clear_own_filter(port_client& client) {
  uint8_t out[sizeof(filter_answer)] = {};
  uint64_t bytes = 0;
  EXPECT_EQ(client.send(protocol::code_clear_client_filter, {}, out, bytes), STATUS_SUCCESS);
}

TEST(driver_port_filter, chooses_for_its_client_alone) {
  loaded_machine on;
  port_client chosen(on.machine, wants(~uint64_t{0}, 0, "chosen"));
  port_client all(on.machine, wants(~uint64_t{0}, 0, "all"), 4200);
  (void)chosen.drain();
  (void)all.drain();
  const uint64_t chosen_before = chosen.row("chosen").offered, all_before = all.row("all").offered;
  set_own_filter(chosen, {.processes = {{700, filter_rule_exclude}}});
  on.starter.become(0, 700, 704);
  load(700, u"\\a.dll");
  on.starter.become(0, 800, 804);
  load(800, u"\\b.dll");
  EXPECT_EQ(pids_of(chosen.drain(), event_type_image_load), pids{800});
  EXPECT_EQ(pids_of(all.drain(), event_type_image_load), (pids{700, 800}));
  const protocol::client_row row = chosen.row("chosen");
  expect_balance(row);
  EXPECT_EQ(row.offered - chosen_before, 1u) << "what a filter keeps out was never offered";
  EXPECT_EQ(all.row("all").offered - all_before, 2u);
}

TEST(driver_port_filter, types_processes_images_and_keys_each_decide) {
  loaded_machine on;
  port_client client(on.machine);
  start(700, 4);
  set_own_filter(client, {.types = bit(event_type_image_load) | bit(event_type_registry_create_key),
                          .processes = {{900, filter_rule_exclude}},
                          .images = {{u"\\keep"}, {u"\\keep\\not", true}},
                          .keys = {{u"\\REGISTRY\\MACHINE\\SOFTWARE\\Wanted"}}});
  on.starter.become(0, 700, 704);
  load(700, u"\\Keep\\a.dll");
  load(700, u"\\keep\\not\\b.dll");
  load(700, u"\\other\\c.dll");
  EXPECT_EQ(sim::create_thread(700, 712, 1), STATUS_SUCCESS);  // not its type
  on.starter.become(0, 900, 904);
  load(900, u"\\keep\\d.dll");
  std::vector<std::u16string> paths;
  for (const received& record : of_type(client.drain(), event_type_image_load)) paths.push_back(record.text(record.as<image_load_payload>().path));
  EXPECT_EQ(paths, (std::vector<std::u16string>{u"\\Keep\\a.dll"}));
}

TEST(driver_port_filter, keys_decide_about_every_registry_operation) {
  for (const bool exclude : {false, true}) {
    loaded_machine on(with());
    port_client client(on.machine);
    set_own_filter(client, {.keys = {{u"\\registry\\machine\\software\\ACME", exclude}}});
    one_of_each(on);
    on.starter.become(0, 4, 8);
    sim::registry_set_value({.key = u"\\REGISTRY\\MACHINE\\SOFTWARE\\Other", .value = u"v"});
    const std::vector<received> records = client.drain();
    for (uint16_t type = event_type_registry_create_key; type <= event_type_registry_rename_key; ++type) {
      const size_t others = type == event_type_registry_set_value ? 1 : 0;
      EXPECT_EQ(of_type(records, type).size(), exclude ? others : 1u) << type;
    }
  }
}

TEST(driver_port_filter, ends_when_it_is_cleared_and_is_read_as_it_was_sent) {
  loaded_machine on;
  port_client client(on.machine);
  std::vector<uint8_t> out(sizeof(filter_state) + 4096);
  const auto state = [&] {
    uint64_t bytes = 0;
    EXPECT_EQ(client.send(protocol::code_client_filter, {}, out, bytes), STATUS_SUCCESS);
    filter_state now;
    std::memcpy(&now, out.data(), sizeof now);
    EXPECT_EQ(bytes, sizeof now + now.message_bytes);
    return now;
  };
  EXPECT_EQ(state().message_bytes, 0u);
  const std::vector<uint8_t> message = filter_parts{.processes = {{700, filter_rule_exclude}}}.message();
  EXPECT_EQ(set_own_filter(client, message).error, 0u);
  ASSERT_EQ(state().message_bytes, message.size());
  EXPECT_TRUE(std::equal(message.begin(), message.end(), out.begin() + sizeof(filter_state)));
  on.starter.become(0, 700, 704);
  load(700, u"\\a.dll");
  EXPECT_EQ(of_type(client.drain(), event_type_image_load).size(), 0u);
  clear_own_filter(client);
  EXPECT_EQ(state().message_bytes, 0u);
  load(700, u"\\b.dll");
  EXPECT_EQ(of_type(client.drain(), event_type_image_load).size(), 1u);
}

// What a reader of live tables gets wrong: the process is long gone when its events are merged.
TEST(driver_port_filter, a_process_is_judged_by_what_it_was_then_however_late_its_events_are_merged) {
  loaded_machine on;
  port_client client(on.machine);
  start(700, 4);
  (void)client.drain();
  set_own_filter(client, {.processes = {{700, filter_rule_descendants}}});
  // The client's queue fills, and what follows waits in the rings.
  on.starter.become(0, 700, 704);
  while (client.row().waiting_batches < client_stream::batch_count) load(700, u"\\fill.dll");
  constexpr uint32_t children = 20;
  for (uint32_t i = 0; i < children; ++i) {
    const uint32_t pid = 1000 + 4 * i;
    on.starter.become(0, 700, 704);
    start(pid, 700);
    on.starter.become(0, pid, pid + 1);
    load(pid, u"\\child.dll");
    EXPECT_EQ(sim::exit_process(pid, 0), STATUS_SUCCESS);
  }
  on.starter.become(0, 4, 8);
  start(900, 4);
  const std::vector<received> records = client.drain();
  EXPECT_EQ(of_type(records, event_type_process_create).size(), children);
  EXPECT_EQ(of_type(records, event_type_process_exit).size(), children);
  EXPECT_EQ(client.row().lost, 0u) << "a single client is never skipped";
}

// A record that somebody else has no room for is offered again: the exit of a process must not be judged as that of nobody.
TEST(driver_port_filter, an_exit_that_is_offered_twice_is_judged_twice_by_its_rule) {
  loaded_machine on;
  port_client without(on.machine, wants(~uint64_t{0}, 0, "without"));
  port_client exits(on.machine, wants(bit(event_type_process_exit) | bit(event_type_image_load), 0, "full"), 4200);
  start(1000, 4);
  set_own_filter(without, {.types = bit(event_type_process_exit), .processes = {{1000, filter_rule_exclude}}});
  (void)without.drain();
  (void)exits.drain();
  on.starter.become(0, 1000, 1004);
  while (exits.row("full").waiting_batches < client_stream::batch_count) load(1000, u"\\fill.dll");
  EXPECT_EQ(sim::exit_process(1000, 0), STATUS_SUCCESS);
  // The worker looks at the record again and again; nobody who wants it has room.
  for (int i = 0; i < 5; ++i) clear_own_filter(exits);
  EXPECT_EQ(of_type(exits.drain(), event_type_process_exit).size(), 1u);
  EXPECT_EQ(of_type(without.drain(), event_type_process_exit).size(), 0u);
}

TEST(driver_port_filter, a_message_that_is_wrong_changes_nothing_and_says_where) {
  loaded_machine on;
  port_client client(on.machine);
  set_own_filter(client, {.processes = {{700, filter_rule_exclude}}});
  const auto refused = [&](const filter_parts& parts, filter_error error, uint32_t offset) {
    const filter_answer answer = set_own_filter(client, parts.message());
    EXPECT_EQ(static_cast<filter_error>(answer.error), error) << name_of(error);
    EXPECT_EQ(answer.offset, offset) << name_of(error);
  };
  refused({.repeat_types = 1u << event_type_image_load, .repeat_window_ms = 10}, filter_error::not_for_clients, 32);
  refused({.process_rate_types = 1u << event_type_image_load, .process_rate = {1, 1}}, filter_error::not_for_clients, 56 - 8);
  refused({.type_rates = {{event_type_image_load, 0, {1, 1}, 0}}}, filter_error::not_for_clients, 88);
  refused({.processes = {{700, 0}, {700, 0}}}, filter_error::process_twice, 128 + 8);
  std::vector<uint8_t> message = filter_parts{}.message();
  for (size_t length = 0; length < message.size(); length += 8) {
    EXPECT_NE(set_own_filter(client, std::span<const uint8_t>(message).first(length)).error, 0u) << length;
  }
  message.resize(protocol::max_client_filter_bytes + 8);
  EXPECT_EQ(static_cast<filter_error>(set_own_filter(client, message).error), filter_error::total_bytes);
  on.starter.become(0, 700, 704);
  load(700, u"\\a.dll");
  EXPECT_EQ(of_type(client.drain(), event_type_image_load).size(), 0u) << "the former one is in force";
}

TEST(driver_port_filter, belongs_to_the_port_and_needs_room_for_its_answer) {
  loaded_machine on;
  client device(on.machine);
  port_client port(on.machine, wants(), 4200);
  const std::vector<uint8_t> message = filter_parts{}.message();
  uint8_t out[64];
  uint64_t bytes = 0;
  for (const uint32_t code :
       {protocol::code_set_client_filter, protocol::code_clear_client_filter, protocol::code_client_filter}) {
    EXPECT_EQ(device.file.control(code, message, out, bytes), STATUS_INVALID_DEVICE_REQUEST);
    EXPECT_EQ(port.send(code, message, {}, bytes), STATUS_BUFFER_TOO_SMALL);
  }
}

TEST(driver_port_filter, is_given_back_when_it_is_replaced_or_its_client_leaves_and_memory_may_fail) {
  loaded_machine on;
  const filter_parts parts{.processes = {{700, filter_rule_descendants}}, .images = {{u"\\a"}}, .keys = {{u"\\REGISTRY\\a"}}};
  port_client other(on.machine, wants(~uint64_t{0}, 0, "other"), 4300);
  set_own_filter(other, parts);  // the table of letters is made once
  const uint64_t blocks = on.machine.in_use().pool_blocks;
  {
    port_client client(on.machine);
    for (int i = 0; i < 3; ++i) set_own_filter(client, parts);
    bool succeeded = false;
    for (uint64_t nth = 1; !succeeded && nth < 100; ++nth) {
      on.machine.fail_call(sim::machine::failure::pool_allocation, nth);
      uint8_t out[sizeof(filter_answer)] = {};
      uint64_t bytes = 0;
      const NTSTATUS status = client.send(protocol::code_set_client_filter, parts.message(), out, bytes);
      succeeded = status == STATUS_SUCCESS;
      if (!succeeded) {
        EXPECT_EQ(status, STATUS_INSUFFICIENT_RESOURCES) << nth;
      }
    }
    on.machine.fail_call(sim::machine::failure::pool_allocation, 0);
    EXPECT_TRUE(succeeded);
  }
  EXPECT_TRUE(wait_until([&] { return on.machine.in_use().pool_blocks == blocks; }));
}

}  // namespace
}  // namespace sluice::test
