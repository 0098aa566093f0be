#include "consumers/accounting.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/consumers/batch_builder.h"

namespace sluice {
namespace {

using namespace test;

// A driver and a reader who agree: two CPUs, two types, a drop that was announced, a discarded record, callbacks counted.
struct agreement {
  accounting account;
  driver_statistics driver;
  raised_callbacks raised;

  agreement() {
    receive(0, 0, event_type_process_create, 100);
    receive(0, 64, event_type_process_create, 110);
    receive(1, 0, event_type_image_load, 120);
    receive(0, 128, record_type_loss, 130);
    // A discarded record was at 192.
    receive(0, 256, event_type_image_load, 140);
    loss_event loss;
    loss.events = 3;
    loss.entry_count = 1;
    loss.entries[0] = {event_type_image_load, 0, 0, 3};
    account.announced(0, loss);

    add_row(0, event_type_process_create, {2, 2, 0, 0, {}});
    add_row(0, event_type_image_load, {5, 1, 1, 0, {3, 0, 0, 0}});
    add_row(0, record_type_loss, {1, 1, 0, 0, {}});
    add_row(1, event_type_image_load, {3, 1, 0, 0, {}});
    driver.rows.back().filtered[static_cast<uint32_t>(filter_reason::image)] = 2;
    driver.header.switched_off = 4;
    raised.by_type = {{event_type_process_create, 2}, {event_type_image_load, 8}, {event_type_thread_create, 4}};
    raised.always_on = 1u << event_type_process_create | 1u << event_type_image_load;
  }
  arrival receive(uint16_t cpu, uint64_t position, uint16_t type, uint64_t time, bool late = false) {
    const delivered_record record{{1, position, cpu, 0}, time, type, 1, 0, late, false, nullptr, 48};
    return account.received(record, time + 10, 10'000'000);
  }
  void add_row(uint16_t cpu, uint16_t type, const account_row& account_of_row) {
    driver.rows.push_back({cpu, type, 0, account_of_row});
  }
  std::vector<std::string> check() const { return account.check(driver, &raised); }
};

TEST(accounting, holds_where_everybody_agrees) {
  const agreement a;
  EXPECT_EQ(a.check(), std::vector<std::string>());
  EXPECT_TRUE(a.account.drained(a.driver));
}

// Each figure comes from another source: whichever is wrong, it shows.
TEST(accounting, each_falsified_figure_breaks_the_check) {
  const std::pair<const char*, void (*)(agreement&)> falsifications[] = {
      {"attempted", [](agreement& a) { a.driver.rows[0].account.attempted += 1; }},
      {"attempted, less", [](agreement& a) { a.driver.rows[0].account.attempted -= 1; }},
      {"committed", [](agreement& a) { a.driver.rows[0].account.committed += 1; }},
      {"committed, less", [](agreement& a) { a.driver.rows[0].account.committed -= 1; }},
      {"discarded", [](agreement& a) { a.driver.rows[1].account.discarded += 1; }},
      {"open", [](agreement& a) { a.driver.rows[1].account.open += 1; }},
      {"dropped: ring full", [](agreement& a) { a.driver.rows[1].account.dropped[0] -= 1; }},
      {"dropped: another reason", [](agreement& a) { a.driver.rows[1].account.dropped[2] += 1; }},
      {"filtered", [](agreement& a) { a.driver.rows[3].filtered[0] += 1; }},
      {"filtered, less", [](agreement& a) { a.driver.rows[3].filtered[2] -= 1; }},
      {"filtered, which nobody raised",
       [](agreement& a) {
         a.driver.rows[3].filtered[2] += 1;
         a.driver.rows[3].account.attempted += 1;
       }},
      {"a loss that is called filtered",
       [](agreement& a) {
         a.driver.rows[1].account.dropped[0] -= 1;
         a.driver.rows[1].filtered[0] += 1;
       }},
      {"a row that is missing", [](agreement& a) { a.driver.rows.pop_back(); }},
      {"a row that came twice", [](agreement& a) { a.driver.rows.push_back(a.driver.rows.back()); }},
      {"callbacks raised", [](agreement& a) { a.raised.by_type[event_type_process_create] += 1; }},
      {"callbacks raised, less", [](agreement& a) { a.raised.by_type[event_type_image_load] -= 1; }},
      {"callbacks of a type switched off", [](agreement& a) { a.raised.by_type[event_type_thread_create] += 1; }},
      {"switched off", [](agreement& a) { a.driver.header.switched_off += 1; }},
      {"violations", [](agreement& a) { a.driver.header.violations = 1; }},
      {"late records", [](agreement& a) { a.driver.header.late_records = 1; }},
      {"a record more", [](agreement& a) { a.receive(1, 64, event_type_image_load, 150); }},
      {"a record of a type without a row", [](agreement& a) { a.receive(1, 64, 50, 150); }},
      {"a record that came twice", [](agreement& a) { a.receive(1, 0, event_type_image_load, 150); }},
      {"a record that was damaged", [](agreement& a) { a.account.damaged(); }},
      {"an announcement too many",
       [](agreement& a) {
         loss_event loss;
         loss.entry_count = 1;
         loss.entries[0] = {event_type_process_create, 0, 0, 1};
         a.account.announced(0, loss);
       }},
      {"an announcement for a type without a row",
       [](agreement& a) {
         loss_event loss;
         loss.entry_count = 1;
         loss.entries[0] = {60, 0, 0, 1};
         a.account.announced(0, loss);
       }},
      {"two figures that are wrong together and still balance",
       [](agreement& a) {
         a.driver.rows[0].account.attempted += 1;
         a.driver.rows[0].account.committed += 1;
       }},
      {"a loss that is called discarded",
       [](agreement& a) {
         a.driver.rows[1].account.dropped[0] -= 1;
         a.driver.rows[1].account.discarded += 1;
       }},
  };
  for (const auto& [what, falsify] : falsifications) {
    agreement a;
    falsify(a);
    EXPECT_FALSE(a.check().empty()) << what;
  }
}

TEST(accounting, says_which_figures_contradict_each_other) {
  agreement a;
  a.driver.rows[0].account.committed += 1;
  const std::vector<std::string> broken = a.check();
  ASSERT_EQ(broken.size(), 2u);
  EXPECT_EQ(broken[0],
            "R3 BROKEN: process_create on cpu 0: attempted 2 is not committed 3 + discarded 0 + dropped 0 + "
            "filtered 0 + open 0");
  EXPECT_EQ(broken[1], "R3 BROKEN: process_create on cpu 0: committed 3, received 2");
}

TEST(accounting, without_a_count_of_callbacks_the_rest_is_checked) {
  agreement a;
  EXPECT_TRUE(a.account.check(a.driver, nullptr).empty());
  a.driver.rows[0].account.committed += 1;
  EXPECT_FALSE(a.account.check(a.driver, nullptr).empty());
}

TEST(accounting, a_hole_without_a_discarded_record_is_a_lost_record) {
  agreement a;
  a.receive(1, 128, event_type_image_load, 150);  // 64 never came
  a.driver.rows[3].account = {4, 2, 0, 0, {}};
  a.raised.by_type[event_type_image_load] += 1;
  const std::vector<std::string> broken = a.check();
  ASSERT_EQ(broken.size(), 1u);
  EXPECT_EQ(broken[0], "M2 BROKEN: cpu 1: 64 bytes of its rings never came, nothing was discarded");
}

TEST(accounting, a_record_out_of_order_must_be_marked_late) {
  agreement a;
  a.receive(1, 64, event_type_image_load, 50);
  a.driver.rows[3].account = {4, 2, 0, 0, {}};
  a.raised.by_type[event_type_image_load] += 1;
  EXPECT_EQ(a.check(), std::vector<std::string>{"M1 BROKEN: 1 records out of order and not marked late"});

  agreement b;
  b.receive(1, 64, event_type_image_load, 50, true);
  b.driver.rows[3].account = {4, 2, 0, 0, {}};
  b.raised.by_type[event_type_image_load] += 1;
  b.driver.header.late_records = 1;
  EXPECT_EQ(b.check(), std::vector<std::string>());
}

TEST(accounting, is_not_drained_while_something_is_missing) {
  agreement a;
  a.driver.rows[0].account.open = 1;
  EXPECT_FALSE(a.account.drained(a.driver));
  a = agreement();
  a.driver.rows[0].account.committed += 1;
  EXPECT_FALSE(a.account.drained(a.driver));
  a = agreement();
  a.driver.rows[1].account.dropped[0] += 1;
  EXPECT_FALSE(a.account.drained(a.driver));
}

TEST(accounting, published_figures_and_loss_records_of_one_gap_count_once) {
  agreement a;
  loss_event figures;
  figures.since_load = true;
  figures.entry_count = 1;
  figures.entries[0] = {event_type_image_load, 0, 0, 3};
  a.account.announced(0, figures);
  EXPECT_EQ(a.check(), std::vector<std::string>());
  // Two more were dropped, and only the figures tell.
  figures.entries[0].events = 5;
  a.account.announced(0, figures);
  a.driver.rows[1].account.attempted += 2;
  a.driver.rows[1].account.dropped[0] += 2;
  a.raised.by_type[event_type_image_load] += 2;
  EXPECT_EQ(a.check(), std::vector<std::string>());
  EXPECT_EQ(a.account.announced_events(), 5u);
}

// Overwrite mode: what was committed was received, or announced as overwritten.
TEST(accounting, what_is_announced_as_overwritten_was_committed_and_not_dropped) {
  agreement a;
  loss_event missed;
  missed.overwritten = true;
  missed.entry_count = 1;
  missed.entries[0] = {event_type_image_load, 0, 0, 4};
  a.account.announced(0, missed);
  a.driver.rows[1].account.attempted += 4;
  a.driver.rows[1].account.committed += 4;
  a.driver.rows[1].account.overwritten = 6;  // two of them had been read and not given back
  a.raised.by_type[event_type_image_load] += 4;
  EXPECT_EQ(a.check(), std::vector<std::string>());
  EXPECT_EQ(a.account.overwritten_events(), 4u);
  EXPECT_EQ(a.account.announced_events(), 3u);
  EXPECT_TRUE(a.account.drained(a.driver));
  a.driver.rows[1].account.overwritten = 3;
  EXPECT_EQ(a.check().size(), 1u);
  a.driver.rows[1].account.overwritten = 6;
  a.account.announced(0, missed);
  EXPECT_EQ(a.check().size(), 2u);
}

TEST(accounting, what_is_announced_as_overwritten_and_the_driver_does_not_know_is_named) {
  agreement a;
  loss_event missed;
  missed.overwritten = true;
  missed.entry_count = 1;
  missed.entries[0] = {event_type_thread_exit, 0, 0, 7};
  a.account.announced(1, missed);
  EXPECT_EQ(a.check(), std::vector<std::string>{"R4 BROKEN: thread_exit on cpu 1: announced as overwritten 7, the driver counts none"});
}

// The driver counts it where it merges, as any record that comes late.
TEST(accounting, a_record_of_what_was_overwritten_can_be_late) {
  agreement a;
  a.driver.header.late_records = 1;
  ASSERT_EQ(a.check().size(), 1u);
  delivered_record told{{1, 64, 1, 0}, 50, record_type_loss, 1, 0, true, false, nullptr, 64};
  told.overwritten = true;
  EXPECT_EQ(a.account.received(told, 60, 10'000'000), arrival::in_order);
  EXPECT_EQ(a.check(), std::vector<std::string>());
  EXPECT_EQ(a.account.late_records(), 1u);
}

// One of several clients: what was committed was received, or it was told that it missed it; by type, over all CPUs.
TEST(accounting, what_this_client_alone_has_missed_was_committed_and_not_dropped) {
  agreement a;
  a.driver.rows[1].account.attempted += 4;
  a.driver.rows[1].account.committed += 4;
  a.raised.by_type[event_type_image_load] += 4;
  EXPECT_EQ(a.check().size(), 1u);
  EXPECT_FALSE(a.account.drained(a.driver));
  loss_event missed;
  missed.by_client = true;
  missed.entry_count = 1;
  missed.entries[0] = {event_type_image_load, 0, 0, 3};
  a.account.announced(batch_no_cpu, missed);
  EXPECT_EQ(a.check().size(), 1u) << "one is missing that it was not told of";
  EXPECT_FALSE(a.account.drained(a.driver));
  missed.entries[0].events = 1;
  a.account.announced(batch_no_cpu, missed);
  EXPECT_EQ(a.check(), std::vector<std::string>());
  EXPECT_TRUE(a.account.drained(a.driver));
  EXPECT_EQ(a.account.missed_events(), 4u);
  EXPECT_EQ(a.account.announced_events(), 3u) << "the rings lost no more";
  a.account.announced(batch_no_cpu, missed);
  EXPECT_EQ(a.check().size(), 1u) << "told of one more than is missing";
}

TEST(accounting, a_record_from_the_next_tick_has_waited_for_nothing) {
  accounting account;
  const delivered_record record{{1, 0, 0, 0}, 1000, 8, 1, 0, false, false, nullptr, 48};
  account.received(record, 999, 10'000'000);
  EXPECT_EQ(account.latency().max(), 0u);
}

TEST(accounting, latency_is_receipt_minus_time) {
  accounting account;
  const delivered_record record{{1, 0, 0, 0}, 1000, 8, 1, 0, false, false, nullptr, 48};
  account.received(record, 3000, 10'000'000);
  EXPECT_EQ(account.latency().max(), 200'000u);
}

TEST(identity_tracker, sees_order_duplicates_gaps_and_late_fillings) {
  identity_tracker tracker;
  const auto note = [&](uint64_t position, uint32_t length = 64) { return tracker.note({1, position, 0, 0}, length, false); };
  EXPECT_EQ(note(1000), arrival::in_order) << "where a client attaches is no gap";
  EXPECT_EQ(tracker.gap_bytes(0), 0u);
  EXPECT_EQ(note(1064), arrival::in_order);
  EXPECT_EQ(note(1064), arrival::duplicate);
  EXPECT_EQ(note(1000), arrival::duplicate);
  EXPECT_EQ(note(936), arrival::duplicate) << "before the beginning";
  EXPECT_EQ(note(1320), arrival::in_order);
  EXPECT_EQ(tracker.gap_bytes(0), 192u);
  EXPECT_EQ(note(1192), arrival::filled_gap);
  EXPECT_EQ(tracker.gap_bytes(0), 128u);
  EXPECT_EQ(note(1192), arrival::duplicate);
  EXPECT_EQ(note(1128), arrival::filled_gap);
  EXPECT_EQ(note(1256, 128), arrival::duplicate) << "overlaps what was there";
  EXPECT_EQ(note(1256), arrival::filled_gap);
  EXPECT_EQ(tracker.gap_bytes(0), 0u);
}

// It was open when the client attached, and is new to it, wherever it stands.
TEST(identity_tracker, a_late_record_from_before_the_first_one_is_new) {
  identity_tracker tracker;
  const auto note = [&](uint64_t position, bool late) { return tracker.note({1, position, 0, 0}, 64, late); };
  EXPECT_EQ(note(1000, false), arrival::in_order);
  EXPECT_EQ(note(200, false), arrival::duplicate) << "only a late one can come from there";
  EXPECT_EQ(note(200, true), arrival::filled_gap);
  EXPECT_EQ(note(200, true), arrival::duplicate);
  EXPECT_EQ(note(0, true), arrival::filled_gap);
  EXPECT_EQ(note(936, true), arrival::filled_gap);
  EXPECT_EQ(note(936, true), arrival::duplicate);
  EXPECT_EQ(tracker.gap_bytes(0), 0u) << "what was there before the client is no gap";
  EXPECT_EQ(note(1128, false), arrival::in_order);
  EXPECT_EQ(tracker.gap_bytes(0), 64u);
  EXPECT_EQ(note(136, true), arrival::filled_gap);
  EXPECT_EQ(tracker.gap_bytes(0), 64u);
  EXPECT_EQ(note(1064, true), arrival::filled_gap);
  EXPECT_EQ(tracker.gap_bytes(0), 0u);
}

TEST(identity_tracker, rings_and_lanes_are_apart) {
  identity_tracker tracker;
  EXPECT_EQ(tracker.note({1, 0, 0, 0}, 64, false), arrival::in_order);
  EXPECT_EQ(tracker.note({1, 0, 0, 1}, 64, false), arrival::in_order);
  EXPECT_EQ(tracker.note({1, 0, 1, 0}, 64, false), arrival::in_order);
  EXPECT_EQ(tracker.note({1, 0, 0, 1}, 64, false), arrival::duplicate);
}

TEST(identity_tracker, positions_beyond_32_bits_go_on) {
  identity_tracker tracker;
  EXPECT_EQ(tracker.note({1, (uint64_t{1} << 32) - 64, 0, 0}, 64, false), arrival::in_order);
  EXPECT_EQ(tracker.note({1, uint64_t{1} << 32, 0, 0}, 64, false), arrival::in_order);
  EXPECT_EQ(tracker.gap_bytes(0), 0u);
}

TEST(identity_tracker, an_interruption_ends_with_the_next_record_of_each_ring) {
  identity_tracker tracker;
  const auto at = [](uint64_t position, uint16_t cpu) { return record_identity{1, position, cpu, 0}; };
  EXPECT_EQ(tracker.note(at(0, 0), 32, false), arrival::in_order);
  EXPECT_EQ(tracker.note(at(0, 1), 32, false), arrival::in_order);
  tracker.interrupted();
  EXPECT_EQ(tracker.note(at(32, 0), 32, false), arrival::in_order);  // nothing is missing here
  EXPECT_EQ(tracker.interrupted_bytes(), 0u);
  EXPECT_EQ(tracker.note(at(128, 1), 32, false), arrival::in_order);
  EXPECT_EQ(tracker.interrupted_bytes(), 96u);
  EXPECT_EQ(tracker.note(at(96, 0), 32, false), arrival::in_order);  // these gaps came later
  EXPECT_EQ(tracker.note(at(192, 1), 32, false), arrival::in_order);
  EXPECT_EQ(tracker.interrupted_bytes(), 96u);
}

TEST(identity_tracker, many_gaps_cost_bounded_memory) {
  identity_tracker tracker;
  for (uint64_t i = 0; i < 10'000; ++i) (void)tracker.note({1, i * 128, 0, 0}, 64, false);
  EXPECT_GT(tracker.forgotten_gaps(), 0u);
  EXPECT_EQ(tracker.gap_bytes(0), 9'999u * 64) << "forgotten places are still counted";
  // Better twice than never: nobody knows any more whether it has come.
  EXPECT_EQ(tracker.note({1, 64, 0, 0}, 64, true), arrival::filled_gap);
  EXPECT_EQ(tracker.gap_bytes(0), 9'998u * 64);
  EXPECT_EQ(tracker.note({1, 128, 0, 0}, 64, false), arrival::duplicate) << "has come, and is not late";
  EXPECT_EQ(tracker.note({1, 9'998u * 128, 0, 0}, 64, true), arrival::duplicate) << "these places are known";
}

TEST(latency_histogram, percentiles_are_at_most_two_percent_high) {
  std::mt19937_64 random(1);
  latency_histogram histogram;
  std::vector<uint64_t> values;
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t value = random() >> (random() % 64);
    values.push_back(value);
    histogram.add(value);
  }
  std::sort(values.begin(), values.end());
  for (const double share : {0.01, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const uint64_t exact = values[static_cast<size_t>(std::ceil(share * static_cast<double>(values.size()))) - 1];
    EXPECT_GE(histogram.percentile(share), exact) << share;
    EXPECT_LE(static_cast<double>(histogram.percentile(share)), static_cast<double>(exact) * 1.017 + 1) << share;
  }
  EXPECT_EQ(histogram.max(), values.back());
}

TEST(latency_histogram, small_values_are_exact_and_the_largest_fits) {
  latency_histogram histogram;
  EXPECT_EQ(histogram.percentile(0.5), 0u);
  for (uint64_t value = 0; value < 100; ++value) histogram.add(value);
  EXPECT_EQ(histogram.percentile(0.5), 49u);
  histogram.add(~uint64_t{0});
  EXPECT_EQ(histogram.percentile(1), ~uint64_t{0});
}

}  // namespace
}  // namespace sluice
