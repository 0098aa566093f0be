// Filters, seen from a client: rules for processes and their descendants.
#include "tests/kernel_port/filter_test_support.h"

namespace sluice::test {
namespace {

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

}  // namespace
}  // namespace sluice::test
