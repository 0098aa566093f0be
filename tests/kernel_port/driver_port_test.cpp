// The driver's communication port: who gets in, what they get, and what is asked over it.
#include "tests/kernel_port/driver_port_support.h"

namespace sluice::test {
namespace {

constexpr uint64_t bit(uint16_t type) { return uint64_t{1} << type; }

struct driver_port : testing::Test {
  loaded_machine on;
};

TEST_F(driver_port, is_a_filter_on_no_volume) {
  EXPECT_EQ(on.machine.in_use().filters, 1u);
  EXPECT_EQ(on.machine.in_use().filter_instances, 0u);
}

TEST_F(driver_port, contexts_are_checked_field_by_field) {
  port_client client;
  const auto refused = [&](auto&& damage) {
    protocol::port_context context = wants();
    damage(context);
    return client.connect(on.machine, context);
  };
  EXPECT_EQ(refused([](auto& context) { ++context.magic; }), STATUS_INVALID_PARAMETER);
  EXPECT_EQ(refused([](auto& context) { ++context.version; }), STATUS_REVISION_MISMATCH);
  EXPECT_EQ(refused([](auto& context) { context.version = 0; }), STATUS_REVISION_MISMATCH);
  EXPECT_EQ(refused([](auto& context) { context.order = 1; }), STATUS_NOT_SUPPORTED);
  EXPECT_EQ(refused([](auto& context) { context.flags = 2; }), STATUS_INVALID_PARAMETER);
  EXPECT_EQ(refused([](auto& context) { context.name[0] = 0; }), STATUS_INVALID_PARAMETER);
  EXPECT_EQ(refused([](auto& context) { context.name[1] = '\n'; }), STATUS_INVALID_PARAMETER);
  EXPECT_EQ(refused([](auto& context) { context.name[31] = 'x'; }), STATUS_INVALID_PARAMETER) << "behind the end";
  EXPECT_EQ(refused([](auto& context) { std::memset(context.name, 'n', sizeof context.name); }), STATUS_SUCCESS);
  EXPECT_EQ(on.machine.in_use().filter_connections, 1u);
}

TEST_F(driver_port, contexts_of_any_other_length_are_refused) {
  std::vector<uint8_t> context(sizeof(protocol::port_context) + 8);
  const protocol::port_context good = wants();
  std::memcpy(context.data(), &good, sizeof good);
  sim::filter_port port;
  for (size_t length = 0; length <= context.size(); ++length) {
    const NTSTATUS status = port.connect(on.machine, protocol::port_name, {context.data(), length}, 4100);
    EXPECT_EQ(status, length == sizeof good ? STATUS_SUCCESS : STATUS_INFO_LENGTH_MISMATCH) << length;
  }
  // Another version may be longer: it is told that it is another version.
  const uint32_t newer = protocol::version + 1;
  std::memcpy(context.data() + 4, &newer, sizeof newer);
  EXPECT_EQ(port.connect(on.machine, protocol::port_name, context, 4100), STATUS_REVISION_MISMATCH);
}

TEST_F(driver_port, thirty_two_clients_and_no_more_get_in_and_each_gets_everything) {
  std::vector<std::unique_ptr<port_client>> clients;
  for (uint32_t i = 0; i < protocol::max_port_clients; ++i) {
    clients.push_back(std::make_unique<port_client>(on.machine, wants(), 4100 + i));
  }
  port_client one_more;
  EXPECT_EQ(one_more.connect(on.machine), STATUS_CONNECTION_COUNT_LIMIT);
  for (uint64_t i = 0; i < 10; ++i) sim::load_image({.base = i});
  for (auto& client : clients) EXPECT_EQ(of_type(client->drain(), event_type_image_load).size(), 10u);
  EXPECT_EQ(clients[0]->clients().size(), protocol::max_port_clients);
  clients[7].reset();
  EXPECT_EQ(one_more.connect(on.machine), STATUS_SUCCESS);
}

TEST_F(driver_port, a_client_changes_its_choice_of_types_while_it_is_connected_and_nobody_elses) {
  port_client changing(on.machine, wants(bit(event_type_thread_create), 0, "changing"));
  port_client other(on.machine);
  const auto change = [&](uint64_t types) {
    uint64_t bytes = 0;
    EXPECT_EQ(changing.send(protocol::code_client_types, bytes_of(protocol::set_types{protocol::version, 0, types}), {}, bytes),
              STATUS_SUCCESS);
    EXPECT_EQ(bytes, 0u);
    EXPECT_EQ(changing.row("changing").types, types);
  };
  sim::load_image({.base = 1});
  EXPECT_EQ(of_type(changing.drain(), event_type_image_load).size(), 0u);
  change(bit(event_type_image_load));
  sim::load_image({.base = 2});
  const auto second = of_type(changing.drain(), event_type_image_load);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].as<image_load_payload>().base, 2u);
  change(0);
  sim::load_image({.base = 3});
  EXPECT_EQ(of_type(changing.drain(), event_type_image_load).size(), 0u);
  EXPECT_EQ(of_type(other.drain(), event_type_image_load).size(), 3u);
  expect_balance(changing.row("changing"));
  EXPECT_EQ(changing.row("changing").lost, 0u) << "what is not wanted is not lost";
}

TEST_F(driver_port, a_change_of_types_is_checked_field_by_field) {
  port_client images(on.machine, wants(bit(event_type_image_load)));
  const protocol::set_types good{protocol::version, 0, 0};
  uint8_t message[sizeof good + 8] = {};
  std::memcpy(message, &good, sizeof good);
  uint64_t bytes = 0;
  for (size_t length = 0; length < sizeof good; ++length) {
    EXPECT_EQ(images.send(protocol::code_client_types, {message, length}, {}, bytes), STATUS_INFO_LENGTH_MISMATCH) << length;
  }
  EXPECT_EQ(images.send(protocol::code_client_types, bytes_of(protocol::set_types{protocol::version + 1, 0, 0}), {}, bytes),
            STATUS_REVISION_MISMATCH);
  EXPECT_EQ(images.send(protocol::code_client_types, bytes_of(protocol::set_types{protocol::version, 1, 0}), {}, bytes),
            STATUS_INVALID_PARAMETER);
  EXPECT_EQ(images.row().types, bit(event_type_image_load));
  // The device has one reader, which has everything.
  sim::file device;
  ASSERT_EQ(device.open(on.machine, u"Sluice", 4000), STATUS_SUCCESS);
  EXPECT_EQ(device.control(protocol::code_client_types, bytes_of(good), {}, bytes), STATUS_INVALID_DEVICE_REQUEST);
  uint8_t row[sizeof(protocol::client_row)];
  EXPECT_EQ(device.control(protocol::code_client_row, {}, row, bytes), STATUS_INVALID_DEVICE_REQUEST);
  EXPECT_EQ(images.send(protocol::code_client_row, {}, std::span(row).first(sizeof row - 1), bytes), STATUS_BUFFER_TOO_SMALL);
}

TEST_F(driver_port, a_client_gets_the_types_it_wants_and_what_describes_the_stream) {
  port_client images(on.machine, wants(bit(event_type_image_load)));
  port_client threads(on.machine, wants(bit(event_type_thread_create)));
  sim::load_image({.base = 1});
  ASSERT_EQ(sim::create_thread(4, 5000, 0), STATUS_SUCCESS);
  const auto of_images = images.drain();
  const auto of_threads = threads.drain();
  EXPECT_EQ(of_type(of_images, event_type_image_load).size(), 1u);
  EXPECT_EQ(of_type(of_images, event_type_thread_create).size(), 0u);
  EXPECT_EQ(of_type(of_threads, event_type_image_load).size(), 0u);
  EXPECT_GE(of_type(of_threads, event_type_thread_create).size(), 1u);
  EXPECT_EQ(of_type(of_images, record_type_anchor).size(), 1u);
  ASSERT_EQ(sim::exit_thread(4, 5000), STATUS_SUCCESS);
}

TEST_F(driver_port, a_client_can_leave_out_what_happens_in_its_own_process) {
  port_client quiet(on.machine, wants(~uint64_t{0}, protocol::port_flag_without_own_process, "quiet"), 700);
  port_client all(on.machine, wants(~uint64_t{0}, 0, "all"), 700);
  {
    on.starter.become(0, 700, 701);
    sim::load_image({.base = 1});
    on.starter.become(0, 4, 8);
  }
  sim::load_image({.base = 2});
  const auto images = of_type(quiet.drain(), event_type_image_load);
  ASSERT_EQ(images.size(), 1u);
  EXPECT_EQ(images[0].as<image_load_payload>().base, 2u);
  EXPECT_EQ(of_type(all.drain(), event_type_image_load).size(), 2u);
}

TEST_F(driver_port, answers_what_the_device_answers) {
  class client device(on.machine);
  port_client client(on.machine);
  const auto both = [&](uint32_t code, std::span<const uint8_t> in, size_t out) {
    std::vector<uint8_t> by_device(out), by_port(out);
    uint64_t device_bytes = 0, port_bytes = 0;
    const NTSTATUS device_status = device.file.control(code, in, by_device, device_bytes);
    EXPECT_EQ(client.send(code, in, by_port, port_bytes), device_status) << std::hex << code;
    EXPECT_EQ(port_bytes, device_bytes) << std::hex << code;
    by_device.resize(device_bytes);
    by_port.resize(port_bytes);
    return std::pair{by_device, by_port};
  };
  auto [device_capabilities, port_capabilities] = both(protocol::code_capabilities, {}, sizeof(protocol::capabilities));
  ASSERT_EQ(port_capabilities.size(), sizeof(protocol::capabilities));
  constexpr size_t before_anchor = offsetof(protocol::capabilities, anchor_counter);
  EXPECT_EQ(std::memcmp(device_capabilities.data(), port_capabilities.data(), before_anchor), 0);
  const auto [device_rows, port_rows] = both(protocol::code_statistics, {}, 1 << 16);
  EXPECT_EQ(device_rows, port_rows);
  const auto [device_types, port_types] = both(protocol::code_types, {}, 4096);
  EXPECT_EQ(device_types, port_types);
  // And refuses what it refuses.
  both(protocol::code_capabilities, {}, sizeof(protocol::capabilities) - 1);
  both(protocol::code_statistics, {}, 0);
  both(protocol::code_statistics, {}, sizeof(protocol::statistics_header));
  both(protocol::control_code(0x999, protocol::access_read), {}, 64);
  const protocol::set_types wrong{protocol::version + 1, 0, 0};
  both(protocol::code_set_types, bytes_of(wrong), 0);
  both(protocol::code_set_types, bytes_of(wrong).first(8), 0);
}

TEST_F(driver_port, a_client_sets_what_is_produced) {
  port_client client(on.machine);
  const protocol::set_types only_threads{protocol::version, 0, bit(event_type_thread_create)};
  uint64_t bytes = 0;
  EXPECT_EQ(client.send(protocol::code_set_types, bytes_of(only_threads), {}, bytes), STATUS_SUCCESS);
  sim::load_image({.base = 1});
  EXPECT_EQ(of_type(client.drain(), event_type_image_load).size(), 0u);
}

TEST_F(driver_port, clients_show_in_the_statistics) {
  port_client client(on.machine, wants(bit(event_type_image_load), 0, "the first"), 4123);
  port_client second(on.machine, wants(~uint64_t{0}, 0, "the second"));
  for (uint64_t i = 0; i < 5; ++i) sim::load_image({.base = i});
  const auto records = of_rings(client.drain());
  protocol::clients_header about{};
  EXPECT_EQ(client.clients(&about).size(), 2u);
  EXPECT_EQ(about.port_status, STATUS_SUCCESS);
  EXPECT_EQ(about.gone_clients, 0u);
  const protocol::client_row row = client.row("the first");
  EXPECT_EQ(row.pid, 4123u);
  EXPECT_EQ(row.types, bit(event_type_image_load));
  EXPECT_EQ(row.delivered, records.size());
  EXPECT_EQ(row.lost, 0u);
  expect_balance(row);
  std::vector<uint8_t> too_short(sizeof(protocol::clients_header) + sizeof(protocol::client_row));
  uint64_t bytes = 0;
  EXPECT_EQ(client.send(protocol::code_clients, {}, too_short, bytes), STATUS_BUFFER_OVERFLOW);
  EXPECT_EQ(bytes, too_short.size());
}

TEST(driver_port_start, nothing_is_recorded_before_the_first_client_if_so_told) {
  loaded_machine on({.service_parameters = {{u"Sluice", u"HoldUntilAttach", 0}}});
  sim::load_image({.base = 1});
  port_client client(on.machine);
  sim::load_image({.base = 2});
  const auto images = of_type(client.drain(), event_type_image_load);
  ASSERT_EQ(images.size(), 1u);
  EXPECT_EQ(images[0].as<image_load_payload>().base, 2u);
}

TEST(driver_port_start, boot_events_wait_for_the_first_client) {
  loaded_machine on;
  sim::load_image({.base = 1});
  port_client client(on.machine);
  EXPECT_EQ(of_type(client.drain(), event_type_image_load).size(), 1u);
}

TEST(driver_port_start, the_port_comes_up_when_the_filter_manager_has_started) {
  loaded_machine on({.filter_manager_started = false});
  ASSERT_EQ(on.status, STATUS_SUCCESS);
  class client device(on.machine);
  port_client client;
  EXPECT_EQ(client.connect(on.machine), STATUS_OBJECT_NAME_NOT_FOUND);
  protocol::clients_header header{};
  uint64_t bytes = 0;
  EXPECT_EQ(device.file.control(protocol::code_clients, {}, {reinterpret_cast<uint8_t*>(&header), sizeof header}, bytes),
            STATUS_SUCCESS);
  EXPECT_EQ(header.port_status, STATUS_FLT_NOT_INITIALIZED);
  EXPECT_EQ(device.capabilities().features & protocol::feature_port, 0u);
  on.machine.start_filter_manager();
  ASSERT_TRUE(wait_until([&] { return client.connect(on.machine) == STATUS_SUCCESS; }));
  EXPECT_TRUE(wait_until([&] { return (device.capabilities().features & protocol::feature_port) != 0; }));
  sim::load_image({.base = 1});
  EXPECT_EQ(of_type(client.drain(), event_type_image_load).size(), 1u);
}

TEST(driver_port_start, a_driver_that_still_waits_for_the_filter_manager_unloads) {
  loaded_machine on({.filter_manager_started = false});
  EXPECT_EQ(on.status, STATUS_SUCCESS);
}

TEST(driver_port_start, without_a_port_the_device_serves) {
  loaded_machine on({.filter_instances_installed = false});
  ASSERT_EQ(on.status, STATUS_SUCCESS);
  class client device(on.machine);
  sim::load_image({.base = 1});
  EXPECT_EQ(of_type(device.drain(), event_type_image_load).size(), 1u);
  protocol::clients_header header{};
  uint64_t bytes = 0;
  EXPECT_EQ(device.file.control(protocol::code_clients, {}, {reinterpret_cast<uint8_t*>(&header), sizeof header}, bytes),
            STATUS_SUCCESS);
  EXPECT_EQ(header.port_status, STATUS_OBJECT_NAME_NOT_FOUND);
  EXPECT_EQ(device.capabilities().features & protocol::feature_port, 0u);
}

// For kernels without a filter manager: nothing of it is called.
TEST(driver_port_start, an_option_does_without_the_filter_manager) {
  loaded_machine on({.service_parameters = {{u"Sluice", u"Port", 0}}});
  ASSERT_EQ(on.status, STATUS_SUCCESS);
  EXPECT_EQ(on.machine.in_use().filters, 0u);
  class client device(on.machine);
  EXPECT_EQ(device.capabilities().features & protocol::feature_port, 0u);
  port_client client;
  EXPECT_EQ(client.connect(on.machine), STATUS_OBJECT_NAME_NOT_FOUND);
  sim::load_image({.base = 1});
  EXPECT_EQ(of_type(device.drain(), event_type_image_load).size(), 1u);
  protocol::clients_header header{};
  uint64_t bytes = 0;
  EXPECT_EQ(device.file.control(protocol::code_clients, {}, {reinterpret_cast<uint8_t*>(&header), sizeof header}, bytes),
            STATUS_SUCCESS);
  EXPECT_EQ(header.port_status, STATUS_NOT_SUPPORTED);
}

// Every call that can fail: the client is refused, or gets its port, and nothing is left.
TEST(driver_port_start, a_failure_at_any_step_of_a_connection_leaves_nothing) {
  using failure = sim::machine::failure;
  loaded_machine on;
  for (const failure kind : {failure::pool_allocation, failure::thread_creation}) {
    const sim::machine::usage before = on.machine.in_use();
    uint64_t nth = 1;
    for (;; ++nth) {
      port_client client;
      on.machine.fail_call(kind, nth);
      const NTSTATUS status = client.connect(on.machine);
      on.machine.fail_call(kind, 0);
      if (NT_SUCCESS(status)) break;
      EXPECT_EQ(status, STATUS_INSUFFICIENT_RESOURCES);
      const sim::machine::usage left = on.machine.in_use();
      EXPECT_EQ(left.pool_blocks, before.pool_blocks);
      EXPECT_EQ(left.system_threads, before.system_threads);
      EXPECT_EQ(left.filter_connections, 0u);
      ASSERT_LT(nth, 50u);
    }
    EXPECT_GE(nth, 2u) << "nothing could fail";
  }
}

TEST(driver_port_start, a_failure_to_open_the_port_is_no_failure_to_load) {
  for (const auto kind : {sim::machine::failure::filter_registration, sim::machine::failure::port_creation}) {
    sim::machine machine;
    sim::activity starter(machine, 0, 4, 8);
    machine.fail_call(kind, 1);
    EXPECT_EQ(machine.load_driver("Sluice", &test_driver_entry), STATUS_SUCCESS);
    EXPECT_EQ(machine.in_use().filters, 0u);
    EXPECT_EQ(machine.unload_driver("Sluice"), STATUS_SUCCESS);
  }
}

}  // namespace
}  // namespace sluice::test
