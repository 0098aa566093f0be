// A record that was open for too long comes behind those that are younger: for clients that attached meanwhile, too, by every transport.
#include "consumers/client/client.h"
#include "tests/kernel_port/driver_mapping_support.h"

namespace sluice::test {
namespace {

struct driver_late : testing::TestWithParam<transport> {
  static sim::machine_options of_machine() {
    return can_map({.service_parameters = {{u"Sluice", u"OverdueMilliseconds", 20}, {u"Sluice", u"HoldUntilAttach", 1}}});
  }
  sluice::client connect() {
    client_options options;
    options.system = simulated_system(on.machine, mapped_client::pid);
    options.by = GetParam();
    return sluice::client(std::move(options));
  }
  // The client's account agrees with the driver's, or what does not.
  static std::vector<std::string> check(sluice::client& reader, bool since_load) {
    reader.flush();
    do (void)reader.next(60s);
    while (reader.last() != client_outcome::flushed);
    return reader.check(since_load);
  }
  static void read_until(sluice::client& reader, const std::function<bool()>& reached) {
    eventually([&] {
      while (reader.next(1ms) != nullptr) continue;
      return reached();
    });
  }

  loaded_machine on{of_machine()};
};

TEST_P(driver_late, the_first_record_of_a_cpu_comes_late_and_is_not_lost) {
  on.starter.migrate(1);  // where the driver has not written yet
  reservation stuck;
  ASSERT_TRUE(sensor_under_test->events().reserve_event(event_type_process_exit, sizeof(process_exit_payload), stuck));
  sim::load_image({.base = 1});
  sluice::client reader = connect();
  read_until(reader, [&] { return reader.account().received_of(event_type_image_load) == 1; });
  EXPECT_EQ(reader.account().received_of(event_type_process_exit), 0u);
  stuck.commit();
  read_until(reader, [&] { return reader.account().late_records() == 1; });
  EXPECT_EQ(reader.account().received_of(event_type_process_exit), 1u);
  EXPECT_EQ(reader.account().duplicates(), 0u);
  EXPECT_EQ(check(reader, true), std::vector<std::string>());
}

// The port's clients have it from the driver's one merge; who reads the rings alone goes on where the one before was.
TEST_P(driver_late, what_was_set_aside_before_a_client_came_comes_to_it) {
  on.starter.migrate(1);
  reservation stuck;
  {
    sluice::client first = connect();
    ASSERT_TRUE(sensor_under_test->events().reserve_event(event_type_process_exit, sizeof(process_exit_payload), stuck));
    sim::load_image({.base = 1});
    read_until(first, [&] { return first.account().received_of(event_type_image_load) == 1; });
  }
  sluice::client second = connect();
  sim::load_image({.base = 2});
  read_until(second, [&] { return second.account().received_of(event_type_image_load) != 0; });
  stuck.commit();
  read_until(second, [&] { return second.account().received_of(event_type_process_exit) == 1; });
  EXPECT_EQ(second.account().duplicates(), 0u);
  EXPECT_EQ(check(second, false), std::vector<std::string>());
}

INSTANTIATE_TEST_SUITE_P(by, driver_late, testing::Values(transport::port, transport::ioctl, transport::mapping),
                         [](const auto& of) { return std::string(name_of(of.param)); });

}  // namespace
}  // namespace sluice::test
