// A whole life of the driver, clients of each transport included, in which one call of the kernel fails: every call that can fail, at
// each of its occurrences. Who asked for something is told, with the kernel's own status, and gets it the next time; what the driver does
// without is said; the accounts stay exact (R3); nothing is left behind.
#include <array>

#include "consumers/mapping_source.h"
#include "consumers/nt/simulated_system.h"
#include "tests/kernel_port/driver_port_support.h"
#include "tests/kernel_port/driver_registry_support.h"
#include "tests/kernel_port/filter_test_support.h"

namespace sluice::test {
namespace {

using failure = sim::machine::failure;

constexpr uint16_t registry_events[] = {event_type_registry_create_key,   event_type_registry_open_key,
                                        event_type_registry_set_value,    event_type_registry_delete_key,
                                        event_type_registry_delete_value, event_type_registry_rename_key};

bool holds_nothing(const sim::machine::usage& left) {
  return left.pool_blocks == 0 && left.system_threads == 0 && left.timers == 0 && left.notify_routines == 0 &&
         left.devices == 0 && left.symbolic_links == 0 && left.filters == 0 && left.filter_connections == 0 &&
         left.filter_instances == 0 && left.callbacks == 0 && left.user_mappings == 0 && left.handles == 0;
}

uint64_t raised_of(const sim::raised_counts& counts, uint16_t type) {
  switch (type) {
    case event_type_process_create: return counts.process_create;
    case event_type_process_exit: return counts.process_exit;
    case event_type_thread_create: return counts.thread_create;
    case event_type_thread_exit: return counts.thread_exit;
    case event_type_image_load: return counts.image_load;
    case event_type_registry_create_key: return counts.registry_create_key;
    case event_type_registry_open_key: return counts.registry_open_key;
    case event_type_registry_set_value: return counts.registry_set_value;
    case event_type_registry_delete_key: return counts.registry_delete_key;
    case event_type_registry_delete_value: return counts.registry_delete_value;
    case event_type_registry_rename_key: return counts.registry_rename_key;
    default: return 0;
  }
}

// A string or a start address that an event had to do without, and says so.
bool lacks_something(const received& record) {
  switch (record.type) {
    case event_type_thread_create:
    case event_type_thread_exit: return (record.as<thread_payload>().flags & thread_flag_no_start_address) != 0;
    case event_type_process_create: return record.as<process_create_payload>().start_key == 0;
    case event_type_process_exit: return (record.as<process_exit_payload>().flags & process_flag_no_exit_status) != 0;
    case event_type_registry_set_value:
    case event_type_registry_delete_value:
      return (record.as<registry_value_payload>().key_path.flags & string_flag_unavailable) != 0;
    case event_type_registry_rename_key:
      return (record.as<registry_rename_payload>().key_path.flags & string_flag_unavailable) != 0;
    case event_type_registry_create_key:
    case event_type_registry_open_key:
    case event_type_registry_delete_key:
      return (record.as<registry_key_payload>().key_path.flags & string_flag_unavailable) != 0 ||
             (record.as<registry_key_payload>().outcome.flags & registry_flag_relative_path) != 0;
    default: return false;
  }
}

class life {
 public:
  life(sim::kernel_level level, failure kind, uint64_t nth, NTSTATUS given)
      : kind_(kind), nth_(nth), given_(given), machine_(options_of(level)), starter_(machine_, 0, 4, 8) {
    machine_.fail_call(kind, nth, given);
    live();
  }

  bool failed() const { return calls_at_end_.value_or(machine_.calls(kind_)) >= nth_; }
  bool was_told() const { return told_ || not_needed_; }

 private:
  static sim::machine_options options_of(sim::kernel_level level) {
    return {.maximum_processors = 3,
            .level = level,
            .service_parameters = {{u"Sluice", u"RegistryOperations", registry_operations_all},
                                   {u"Sluice", u"RingBytes", 128 * 1024}},
            .shared_memory = true};
  }

  // What cannot be done the first time because of the failure is told so, and can be done the second time.
  template <class action>
  void step(const char* name, action&& act) {
    const bool before = failed();
    NTSTATUS status = act();
    if (!NT_SUCCESS(status)) {
      EXPECT_FALSE(before) << name << ": the failure was an earlier step's";
      EXPECT_TRUE(failed()) << name << ": nothing had failed";
      EXPECT_EQ(static_cast<uint32_t>(status), static_cast<uint32_t>(given_)) << name;
      told_ = true;
      status = act();
    }
    EXPECT_EQ(static_cast<uint32_t>(status), 0u) << name;
  }

  void live() {
    step("load", [&] {
      before_ = sim::raised();
      const NTSTATUS status = machine_.load_driver("Sluice", &test_driver_entry);
      EXPECT_TRUE(NT_SUCCESS(status) || holds_nothing(machine_.in_use())) << "after a load that failed";
      return status;
    });
    step("own type", [&] { return sensor_under_test->types().register_type(sample_type, own_type_); });
    reader_.emplace(machine_);
    has_ = reader_->capabilities();
    activity(1000);
    drain();
    driver_filter();
    ring_copies();
    if ((has_.features & protocol::feature_port) != 0) port_clients();
    if (machine_.options().level > sim::kernel_level::nt52) {
      step("processor", [&] { return machine_.add_processor(); });
      starter_.become(2, 4, 8);
    }
    activity(1400);
    starter_.become(0, 4, 8);
    machine_.set_system_time(machine_.system_time() + 10'000'000);
    drain();
    what_is_said();
    reader_->file.close();
    if ((has_.features & protocol::feature_mapping) != 0) mapped_client();
    EXPECT_EQ(machine_.unload_driver("Sluice"), STATUS_SUCCESS);
    EXPECT_TRUE(holds_nothing(machine_.in_use())) << "after the unload";
    calls_at_end_ = machine_.calls(kind_);
    machine_.fail_call(kind_, 0);
    and_again();
  }

  // One of everything, in a process of its own.
  void activity(uint32_t pid) {
    EXPECT_EQ(sim::create_process({.pid = pid, .parent_pid = 4, .image_path = u"\\a.exe", .command_line = u"a"}), STATUS_SUCCESS);
    EXPECT_EQ(sim::create_thread(pid, pid + 4, 0x1000), STATUS_SUCCESS);
    sim::load_image({.pid = pid, .base = 1, .path = u"\\a.dll"});
    const std::vector<uint8_t> much(3000, 7);  // longer than a capture that is kept ready
    const std::u16string root(key);
    EXPECT_EQ(sim::registry_create_key({.key = u"Acme\\Sub", .root = software}), STATUS_SUCCESS);
    const bool before = failed();
    EXPECT_EQ(sim::registry_open_key({.key = root, .desired_access = KEY_READ}), STATUS_SUCCESS);
    not_needed_ |= !before && failed();  // the name of the root of a path that is absolute: its path is there all the same
    EXPECT_EQ(sim::registry_set_value({.key = root, .value = u"v", .type = REG_BINARY, .data = much}), STATUS_SUCCESS);
    EXPECT_EQ(sim::registry_delete_value({.key = root, .value = u"v"}), STATUS_SUCCESS);
    EXPECT_EQ(sim::registry_rename_key({.key = root + u"\\Sub", .new_name = u"Bus"}), STATUS_SUCCESS);
    EXPECT_EQ(sim::registry_delete_key({.key = root + u"\\Bus"}), STATUS_SUCCESS);
    const sample_event event{pid};
    EXPECT_EQ(sensor_under_test->events().write(own_type_, 1, &event, sizeof event), reserve_status::ok);
    EXPECT_EQ(sim::exit_thread(pid, pid + 4), STATUS_SUCCESS);
    EXPECT_EQ(sim::exit_process(pid, 3), STATUS_SUCCESS);
  }

  void drain() { take(reader_->drain(), came_); }

  void take(const std::vector<received>& records, std::array<uint64_t, max_record_types>& counts) {
    for (const received& record : records) {
      if ((record.flags & batch_flag_figures) != 0) continue;
      if ((record.flags & batch_flag_client_loss) == 0) ++counts[record.type];
      lacking_ += lacks_something(record);
      if (record.type == event_type_registry_open_key) {
        EXPECT_EQ(record.text(record.as<registry_key_payload>().key_path), key);
      }
    }
  }

  static std::vector<uint8_t> filter_message() {
    return filter_parts{.repeat_types = 1,
                        .repeat_window_ms = 1,
                        .process_rate_types = 1,
                        .process_rate = {1000, 1000},
                        .processes = {{9999, filter_rule_descendants | filter_rule_exclude}},
                        .images = {{u"\\other", true}},
                        .keys = {{u"\\other", true}},
                        .type_rates = {{event_type_image_load, 0, {1000, 1000}, 0}}}
        .message();
  }
  static std::vector<uint8_t> client_filter_message() {
    return filter_parts{.processes = {{9999, filter_rule_descendants | filter_rule_exclude}}, .images = {{u"\\other", true}}, .keys = {{u"\\other", true}}}.message();
  }

  void driver_filter() {
    filter_answer answer{};
    step("filter", [&] { return send_filter(*reader_, filter_message(), answer); });
    EXPECT_EQ(answer.error, 0u);
    activity(1100);
    drain();
    clear_filter(*reader_);
    activity(1200);
    drain();
  }

  void ring_copies() {
    std::vector<uint8_t> out(sizeof(protocol::ring_copy) + (1 << 16));
    for (const uint16_t cpu : {uint16_t{0}, uint16_t{1}}) {
      const protocol::ring_copy_request request{protocol::version, cpu, 0, 0};
      uint64_t bytes = 0;
      step("ring copy", [&] { return reader_->file.control(protocol::code_copy_ring, bytes_of(request), out, bytes); });
    }
  }

  // Beside the device's reader. What each is given adds up, and nothing is lost: it may wait for a moment, and for memory.
  void port_clients() {
    port_client first, second;
    step("connect", [&] { return first.connect(machine_, wants(~uint64_t{0}, 0, "first")); });
    step("connect again", [&] { return second.connect(machine_, wants(~uint64_t{0}, 0, "second")); });
    step("own filter", [&] {
      uint8_t out[sizeof(filter_answer)] = {};
      uint64_t bytes = 0;
      return second.send(protocol::code_set_client_filter, client_filter_message(), out, bytes);
    });
    activity(1300);
    drain();
    std::array<uint64_t, max_record_types> counts{};
    take(drain_port(first), counts);
    (void)drain_port(second);
    for (const uint16_t type : registry_events) EXPECT_EQ(counts[type], has_registry() ? 1u : 0u) << type;
    EXPECT_EQ(counts[event_type_process_create], 1u);
    uint64_t bytes = 0;
    step("clients", [&] { return rows_of(first); });
    step("types", [&] {
      const protocol::set_types request{protocol::version, 0, ~uint64_t{0}};
      return first.send(protocol::code_client_types, bytes_of(request), {}, bytes);
    });
    // Who goes leaves events, which the other one is given. What fails now, its row says as well, as soon as the sending has returned.
    second.port.close();
    (void)drain_port(first);
    if (kind_ == failure::message_sending && failed()) {
      EXPECT_TRUE(wait_until([&] { return NT_SUCCESS(rows_of(first)) && told_; }));
    }
  }

  NTSTATUS rows_of(port_client& client) {
    uint64_t bytes = 0;
    std::vector<uint8_t> out(sizeof(protocol::clients_header) + 8 * sizeof(protocol::client_row));
    const NTSTATUS status = client.send(protocol::code_clients, {}, out, bytes);
    for (size_t at = sizeof(protocol::clients_header); at < bytes; at += sizeof(protocol::client_row)) {
      protocol::client_row row;
      std::memcpy(&row, &out[at], sizeof row);
      expect_balance(row);
      told_ |= row.failed_sends != 0;
    }
    return status;
  }

  std::vector<received> drain_port(port_client& client) {
    std::vector<received> records;
    step("flush", [&] { return client.flush(); });
    for (bool answer = false; !answer && !testing::Test::HasFailure();) {
      EXPECT_EQ(client.read(records, long_enough, &answer), STATUS_SUCCESS);
    }
    return records;
  }

  bool has_registry() const { return has_.registry_registration != protocol::registration::none; }

  // The driver's account against what was raised and what came (R3); and what the driver says of a failure that it went on after.
  void what_is_said() {
    const sim::raised_counts raised = sim::raised();
    const std::vector<protocol::statistics_row> rows = reader_->statistics();
    uint64_t lost = 0;
    for (uint16_t type = 0; type < max_record_types; ++type) {
      protocol::statistics_row sum{};
      for (const protocol::statistics_row& row : rows) {
        EXPECT_TRUE(row.balances()) << row.cpu << ' ' << row.type;
        if (row.type != type) continue;
        sum.account.add(row.account);
        for (uint32_t reason = 0; reason < filter_reason_count; ++reason) sum.filtered[reason] += row.filtered[reason];
      }
      if (type >= event_type_process_create && type <= event_type_registry_rename_key) {
        EXPECT_EQ(sum.account.attempted, raised_of(raised, type) - raised_of(before_, type)) << type;
      }
      EXPECT_EQ(sum.account.dropped_total(), 0u) << type;
      if (type >= event_type_process_create) lost += sum.account.committed - came_[type];
    }
    uint64_t clients_lost = 0;
    std::vector<uint8_t> out(1 << 12);
    uint64_t bytes = 0;
    ASSERT_EQ(reader_->file.control(protocol::code_clients, {}, out, bytes), STATUS_SUCCESS);
    protocol::clients_header header;
    std::memcpy(&header, out.data(), sizeof header);
    clients_lost = header.gone_lost;
    EXPECT_EQ(header.gone_offered, header.gone_delivered + header.gone_lost + header.gone_undelivered);
    EXPECT_EQ(lost, clients_lost) << "records that were committed and did not come, and were not announced";
    told_ |= header.port_status == given_ || clients_lost != 0 || lacking_ != 0;
    const bool ex = machine_.options().level >= sim::kernel_level::vista;
    told_ |= has_.registry_registration != (ex ? protocol::registration::ex : protocol::registration::plain);
    told_ |= has_.process_registration != best_process_registration();
  }
  protocol::registration best_process_registration() const {
    switch (machine_.options().level) {
      case sim::kernel_level::windows10: return protocol::registration::ex2;
      case sim::kernel_level::nt52: return protocol::registration::plain;
      default: return protocol::registration::ex;
    }
  }

  void mapped_client() {
    std::unique_ptr<mapping_source> source;
    step("map", [&] {
      try {
        source = std::make_unique<mapping_source>(simulated_system(machine_, 4000));
        return STATUS_SUCCESS;
      } catch (const nt_error& error) {
        EXPECT_EQ(machine_.in_use().user_mappings, 0u) << "after a mapping that failed";
        return static_cast<NTSTATUS>(error.status());
      }
    });
    activity(1500);
    std::array<uint64_t, max_record_types> counts{};
    std::vector<uint8_t> buffer(protocol::min_read_bytes);
    source->flush();
    for (bool news = true; news && !testing::Test::HasFailure();) {
      const read_result result = source->read(buffer, long_enough);
      ASSERT_EQ(result.status, read_status::batch);
      const std::vector<received> records = parse(buffer, result.bytes);
      take(records, counts);
      news = std::ranges::any_of(records, [](const received& each) { return (each.flags & batch_flag_figures) == 0; });
      if (news) source->flush();
    }
    EXPECT_EQ(counts[event_type_process_exit], 1u);
    told_ |= lacking_ != 0;
  }

  // The failure is over: another load, and a client that gets what happens.
  void and_again() {
    ASSERT_EQ(machine_.load_driver("Sluice", &test_driver_entry), STATUS_SUCCESS);
    {
      client later(machine_);
      sim::load_image({.base = 77, .path = u"\\again"});
      EXPECT_EQ(of_type(later.drain(), event_type_image_load).size(), 1u);
    }
    EXPECT_EQ(machine_.unload_driver("Sluice"), STATUS_SUCCESS);
    EXPECT_TRUE(holds_nothing(machine_.in_use())) << "after the last unload";
  }

  const failure kind_;
  const uint64_t nth_;
  const NTSTATUS given_;
  sim::machine machine_;
  sim::activity starter_;
  std::optional<uint64_t> calls_at_end_;
  bool told_ = false, not_needed_ = false;
  uint16_t own_type_ = 0;
  sim::raised_counts before_{};
  std::optional<client> reader_;
  protocol::capabilities has_{};
  std::array<uint64_t, max_record_types> came_{};
  uint64_t lacking_ = 0;
};

struct failing_call {
  const char* name;
  failure kind;
  NTSTATUS given;
  uint32_t at_least;       // occurrences on Windows 10
  uint32_t untold = 0;     // of these, that nobody is told of
};

void PrintTo(const failing_call& call, std::ostream* to) { *to << call.name; }

// Where there are no figures for a failure that the driver goes on after: without the callback of the system time, an anchor comes later
// after it was set (kernel_port/driver/time_watch.h).
constexpr failing_call calls[] = {
    {"pool_allocation", failure::pool_allocation, STATUS_INSUFFICIENT_RESOURCES, 50},
    {"thread_creation", failure::thread_creation, STATUS_QUOTA_EXCEEDED, 3},
    {"notify_registration", failure::notify_registration, STATUS_QUOTA_EXCEEDED, 4},
    {"notify_registration_denied", failure::notify_registration, STATUS_ACCESS_DENIED, 4},
    {"device_creation", failure::device_creation, STATUS_QUOTA_EXCEEDED, 1},
    {"symbolic_link", failure::symbolic_link, STATUS_QUOTA_EXCEEDED, 1},
    {"security_change", failure::security_change, STATUS_QUOTA_EXCEEDED, 1},
    {"driver_object", failure::driver_object, STATUS_QUOTA_EXCEEDED, 1},
    {"filter_registration", failure::filter_registration, STATUS_QUOTA_EXCEEDED, 1},
    {"port_creation", failure::port_creation, STATUS_QUOTA_EXCEEDED, 1},
    {"callback_registration", failure::callback_registration, STATUS_INSUFFICIENT_RESOURCES, 2, 1},
    {"user_mapping", failure::user_mapping, STATUS_QUOTA_EXCEEDED, 12},
    {"handle_opening", failure::handle_opening, STATUS_QUOTA_EXCEEDED, 5},
    {"handle_reference", failure::handle_reference, STATUS_QUOTA_EXCEEDED, 4},
    {"object_lookup", failure::object_lookup, STATUS_QUOTA_EXCEEDED, 4},
    {"thread_query", failure::thread_query, STATUS_QUOTA_EXCEEDED, 4},
    {"registry_read", failure::registry_read, STATUS_QUOTA_EXCEEDED, 14},
    {"callback_object", failure::callback_object, STATUS_QUOTA_EXCEEDED, 1, 1},
    {"default_descriptor", failure::default_descriptor, STATUS_QUOTA_EXCEEDED, 1},
    {"filtering_start", failure::filtering_start, STATUS_QUOTA_EXCEEDED, 1},
    {"message_sending", failure::message_sending, STATUS_QUOTA_EXCEEDED, 2}};

// How often the call was made; the last life is one in which nothing failed.
uint32_t fail_each(const failing_call& call, sim::kernel_level level) {
  uint32_t untold = 0;
  for (uint64_t nth = 1; nth < 1000; ++nth) {
    SCOPED_TRACE(std::string(call.name) + " " + std::to_string(nth));
    const life one(level, call.kind, nth, call.given);
    if (!one.failed()) {
      EXPECT_EQ(untold, call.untold);
      return static_cast<uint32_t>(nth - 1);
    }
    if (!one.was_told() && ++untold > call.untold) ADD_FAILURE() << "nobody was told";
    if (testing::Test::HasFailure()) break;  // the next ones would say the same
  }
  ADD_FAILURE() << "no end";
  return 0;
}

struct driver_failures : testing::TestWithParam<failing_call> {};

TEST_P(driver_failures, each_in_turn_is_told_and_leaves_nothing) {
  EXPECT_GE(fail_each(GetParam(), sim::kernel_level::windows10), GetParam().at_least);
}

INSTANTIATE_TEST_SUITE_P(every_call, driver_failures, testing::ValuesIn(calls), [](const auto& each) { return each.param.name; });

// Kernels that give a key's name in the older ways.
TEST(driver_failures_of_older_kernels, each_in_turn_is_told_and_leaves_nothing) {
  const failing_call names{"name_query", failure::name_query, STATUS_QUOTA_EXCEEDED, 0};
  EXPECT_GE(fail_each(names, sim::kernel_level::vista), 4u);
  EXPECT_GE(fail_each(names, sim::kernel_level::nt52), 4u);
  EXPECT_GE(fail_each({"object_lookup", failure::object_lookup, STATUS_QUOTA_EXCEEDED, 0}, sim::kernel_level::nt52), 4u);
  EXPECT_GE(fail_each({"pool_allocation", failure::pool_allocation, STATUS_INSUFFICIENT_RESOURCES, 0}, sim::kernel_level::nt52), 50u);
}

}  // namespace
}  // namespace sluice::test
