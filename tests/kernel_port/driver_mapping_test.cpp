// The mapping: who may have it, what it carries, and how it ends. M2, R3, R4, R5.
#include "tests/kernel_port/driver_mapping_support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "consumers/client/client.h"
#include "consumers/port_source.h"

namespace sluice::test {
namespace {

struct raw_mapping {
  protocol::map_answer header{};
  std::vector<protocol::mapped_ring> rings;
};

NTSTATUS map(sim::file& file, raw_mapping* mapped = nullptr, const protocol::map_request& request = {protocol::version, 0},
             size_t room = 1 << 16) {
  std::vector<uint8_t> answer(room);
  uint64_t bytes = 0;
  const NTSTATUS status =
      file.control(protocol::code_map, {reinterpret_cast<const uint8_t*>(&request), sizeof request}, answer, bytes);
  raw_mapping result;
  if (bytes >= sizeof result.header) {
    std::memcpy(&result.header, answer.data(), sizeof result.header);
    result.rings.resize((bytes - sizeof result.header) / sizeof(protocol::mapped_ring));
    if (!result.rings.empty()) {
      std::memcpy(result.rings.data(), answer.data() + sizeof result.header, bytes - sizeof result.header);
    }
  }
  if (mapped != nullptr) *mapped = result;
  return status;
}

NTSTATUS plain(sim::file& file, uint32_t code, std::optional<std::chrono::nanoseconds> timeout = {}) {
  uint64_t bytes = 0;
  return file.control(code, {}, {}, bytes, timeout);
}

sim::file open(mapping_machine& on, uint32_t pid = mapped_client::pid) {
  sim::file file;
  EXPECT_EQ(file.open(on.machine, u"Sluice", pid), STATUS_SUCCESS);
  return file;
}

void expect_balance(mapping_machine& on) {
  client asks(on.machine);
  for (const protocol::statistics_row& row : asks.statistics()) {
    EXPECT_TRUE(row.balances()) << "cpu " << row.cpu << " type " << row.type;
  }
}

TEST(driver_mapping, what_is_written_arrives_once_with_its_identity) {
  mapping_machine on;
  mapped_client client(on.machine);
  collected got;
  for (uint64_t value = 0; value < 5000; ++value) ASSERT_EQ(on.write(value), reserve_status::ok);
  client.drain(got);
  ASSERT_EQ(got.samples.size(), 5000u);
  EXPECT_EQ(got.duplicates, 0u);
  uint64_t next = 0;
  for (const auto& [place, value] : got.samples) EXPECT_EQ(value, next++) << "one CPU: the order of positions";
  EXPECT_EQ(client.source->merged_late_records(), 0u);
  const driver_statistics statistics = client.source->statistics();
  EXPECT_EQ(sum_of(statistics.rows, first_own_type).committed, 5000u);
  EXPECT_EQ(statistics.header.violations, 0u);
}

// M1. Who maps merges, so the driver's statistics do not have it.
TEST(driver_mapping, a_record_that_comes_late_is_in_the_clients_account_and_nothing_is_said_against_it) {
  mapping_machine on({.service_parameters = {{u"Sluice", u"OverdueMilliseconds", 20}}});
  client_options options;
  options.system = simulated_system(on.machine, mapped_client::pid);
  options.by = transport::mapping;
  sluice::client reader(options);
  reservation stuck;
  ASSERT_TRUE(sensor_under_test->events().reserve_event(first_own_type, sizeof(sample_event), stuck));
  uint64_t value = 0;
  eventually([&] {  // reported, and what is younger has come
    EXPECT_EQ(on.write(++value), reserve_status::ok);
    while (reader.next(1ms) != nullptr) continue;
    return reader.account().overdue_records() == 1;
  });
  eventually([&] {
    while (reader.next(1ms) != nullptr) continue;
    return reader.account().received_of(first_own_type) == value;
  });
  stuck.commit();
  eventually([&] {
    while (reader.next(1ms) != nullptr) continue;
    return reader.account().late_records() == 1;
  });
  reader.flush();
  do (void)reader.next(60s);
  while (reader.last() != client_outcome::flushed);
  EXPECT_EQ(reader.check(true), std::vector<std::string>());
}

TEST(driver_mapping, what_waited_for_the_first_client_is_there) {
  mapping_machine on;
  ASSERT_EQ(on.write(7), reserve_status::ok);
  mapped_client client(on.machine);
  collected got;
  client.drain(got);
  ASSERT_EQ(got.samples.size(), 1u);
  EXPECT_EQ(got.samples.begin()->second, 7u);
}

TEST(driver_mapping, the_mapped_client_is_alone) {
  mapping_machine on;
  const auto system = simulated_system(on.machine, 4200);
  {
    client reader(on.machine);
    std::vector<received> records;
    ASSERT_EQ(on.write(1), reserve_status::ok);
    ASSERT_EQ(reader.read(records), STATUS_SUCCESS);
    sim::file other = open(on);
    EXPECT_EQ(map(other), STATUS_SHARING_VIOLATION) << "somebody reads the device";
  }
  {
    port_source port(system, {});
    sim::file other = open(on);
    EXPECT_EQ(map(other), STATUS_SHARING_VIOLATION) << "somebody is on the port";
  }
  sim::file mine = open(on);
  ASSERT_EQ(map(mine), STATUS_SUCCESS);
  {
    sim::file other = open(on, 4300);
    EXPECT_EQ(map(other), STATUS_SHARING_VIOLATION);
    std::vector<uint8_t> buffer(protocol::min_read_bytes);
    uint64_t bytes = 0;
    EXPECT_EQ(other.read(buffer, bytes), STATUS_SHARING_VIOLATION);
    EXPECT_EQ(mine.read(buffer, bytes), STATUS_SHARING_VIOLATION);
    EXPECT_EQ(plain(other, protocol::code_announce), STATUS_INVALID_DEVICE_STATE);
    EXPECT_EQ(plain(other, protocol::code_wait), STATUS_INVALID_DEVICE_STATE);
    EXPECT_EQ(plain(other, protocol::code_wake), STATUS_INVALID_DEVICE_STATE);
    EXPECT_THROW(port_source(system, {}), source_error);
    EXPECT_EQ(map(mine), STATUS_SUCCESS) << "again, for CPUs that were added";
  }
  ASSERT_EQ(on.write(2), reserve_status::ok);
  mine.close();
  client reader(on.machine);
  EXPECT_FALSE(of_type(reader.drain(), first_own_type).empty()) << "whoever comes next is let in";
}

TEST(driver_mapping, another_handle_of_the_same_process_has_nothing_of_it) {
  mapping_machine on;
  sim::file mine = open(on);
  sim::file other = open(on);
  ASSERT_EQ(map(mine), STATUS_SUCCESS);
  EXPECT_EQ(map(other), STATUS_SHARING_VIOLATION);
  EXPECT_EQ(plain(other, protocol::code_announce), STATUS_INVALID_DEVICE_STATE);
  other.close();
  EXPECT_EQ(map(mine), STATUS_SUCCESS) << "again, by whom it is";
}

TEST(driver_mapping, messages_are_checked_field_by_field) {
  mapping_machine on;
  sim::file file = open(on);
  EXPECT_EQ(map(file, nullptr, {protocol::version + 1, 0}), STATUS_REVISION_MISMATCH);
  EXPECT_EQ(map(file, nullptr, {protocol::version, 1}), STATUS_INVALID_PARAMETER);
  EXPECT_EQ(map(file, nullptr, {protocol::version, 0}, sizeof(protocol::map_answer) - 1), STATUS_BUFFER_TOO_SMALL);
  EXPECT_EQ(plain(file, protocol::code_map), STATUS_INFO_LENGTH_MISMATCH);
  raw_mapping mapped;
  EXPECT_EQ(map(file, &mapped, {protocol::version, 0}, sizeof(protocol::map_answer)), STATUS_BUFFER_OVERFLOW);
  EXPECT_EQ(mapped.header.ring_count, 4u);
  EXPECT_EQ(on.machine.in_use().user_mappings, 0u);
  EXPECT_EQ(plain(file, protocol::code_wait), STATUS_INVALID_DEVICE_STATE) << "nothing is mapped";
  ASSERT_EQ(map(file, &mapped), STATUS_SUCCESS);
  EXPECT_EQ(mapped.rings.size(), 4u);
  EXPECT_EQ(on.machine.in_use().user_mappings, 8u);
  file.close();
  EXPECT_EQ(on.machine.in_use().user_mappings, 0u);
}

TEST(driver_mapping, a_kernel_that_cannot_map_read_only_and_rings_that_overwrite_are_not_mapped) {
  const sim::machine_options cases[] = {{.level = sim::kernel_level::vista},
                                        {.service_parameters = {{u"Sluice", u"Mode", 1}}}};
  for (const sim::machine_options& options : cases) {
    mapping_machine on(options);
    client asks(on.machine);
    EXPECT_EQ(asks.capabilities().features & protocol::feature_mapping, 0u);
    EXPECT_EQ(map(asks.file), STATUS_NOT_SUPPORTED);
  }
  mapping_machine on;
  EXPECT_NE(client(on.machine).capabilities().features & protocol::feature_mapping, 0u);
}

TEST(driver_mapping, only_the_consumer_page_can_be_written) {
  mapping_machine on;
  sim::file file = open(on);
  raw_mapping mapped;
  ASSERT_EQ(map(file, &mapped), STATUS_SUCCESS);
  for (const protocol::mapped_ring& ring : mapped.rings) {
    for (const uint64_t at : {ring.region, ring.region + region_page, ring.region + ring.region_bytes - 4}) {
      const pid_t child = ::fork();
      if (child == 0) {
        ::signal(SIGSEGV, SIG_DFL);
        *reinterpret_cast<volatile uint32_t*>(at) = 1;
        ::_exit(0);
      }
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    }
    EXPECT_EQ(::mprotect(reinterpret_cast<void*>(ring.region), region_page, PROT_READ | PROT_WRITE), -1);
    *reinterpret_cast<volatile uint32_t*>(ring.consumer + 2048) = 1;
  }
}

TEST(driver_mapping, what_a_client_had_not_given_back_comes_again_with_its_identity) {
  mapping_machine on;
  collected first, second;
  for (uint64_t value = 0; value < 4000; ++value) ASSERT_EQ(on.write(value), reserve_status::ok);
  {
    mapped_client client(on.machine);
    ASSERT_EQ(client.read(first), read_status::batch);  // and dies before it reads again
  }
  ASSERT_FALSE(first.samples.empty());
  ASSERT_LT(first.samples.size(), 4000u);
  {
    mapped_client client(on.machine);
    client.drain(second);
  }
  EXPECT_EQ(second.samples.size(), 4000u);
  for (const auto& [place, value] : first.samples) EXPECT_EQ(second.samples[place], value);
}

TEST(driver_mapping, the_worker_goes_on_where_the_client_had_given_back_to) {
  mapping_machine on;
  collected got;
  {
    mapped_client client(on.machine);
    for (uint64_t value = 0; value < 3000; ++value) ASSERT_EQ(on.write(value), reserve_status::ok);
    client.drain(got);
    ASSERT_EQ(got.samples.size(), 3000u);
    for (uint64_t value = 3000; value < 3100; ++value) ASSERT_EQ(on.write(value), reserve_status::ok);
  }
  client reader(on.machine);
  for (const received& record : reader.drain()) got.add(record);
  EXPECT_EQ(got.samples.size(), 3100u) << "no gap";
  EXPECT_EQ(got.duplicates, 0u) << "what was given back does not come again";
  expect_balance(on);
}

TEST(driver_mapping, the_end_of_the_process_unmaps_though_the_handle_lives_on) {
  mapping_machine on;
  ASSERT_EQ(sim::add_existing_process({.pid = 4400, .parent_pid = 4}), STATUS_SUCCESS);
  sim::file duplicated = open(on, 4400);  // as another process holds it, too
  ASSERT_EQ(map(duplicated), STATUS_SUCCESS);
  ASSERT_EQ(on.write(1), reserve_status::ok);
  ASSERT_EQ(sim::exit_process(4400, 0), STATUS_SUCCESS);
  EXPECT_EQ(on.machine.in_use().user_mappings, 0u);
  EXPECT_EQ(plain(duplicated, protocol::code_wait), STATUS_INVALID_DEVICE_STATE);
  client reader(on.machine);
  EXPECT_EQ(of_type(reader.drain(), first_own_type).size(), 1u);
}

TEST(driver_mapping, a_failure_at_any_step_leaves_nothing_and_the_next_attempt_maps) {
  for (const auto kind : {sim::machine::failure::user_mapping, sim::machine::failure::pool_allocation}) {
    mapping_machine on;
    uint32_t failures = 0;
    for (uint64_t nth = 1;; ++nth) {
      ASSERT_LT(nth, 100u);
      sim::file file = open(on);
      const uint64_t blocks = on.machine.in_use().pool_blocks;
      on.machine.fail_call(kind, nth);
      const NTSTATUS status = map(file);
      on.machine.fail_call(kind, 0);
      if (NT_SUCCESS(status)) break;
      ++failures;
      EXPECT_EQ(status, STATUS_INSUFFICIENT_RESOURCES);
      EXPECT_EQ(on.machine.in_use().user_mappings, 0u);
      EXPECT_EQ(on.machine.in_use().pool_blocks, blocks);
      client reader(on.machine);  // nobody is kept out by it
      (void)reader.drain();
    }
    EXPECT_EQ(failures, 8u) << "four rings, two parts each";
  }
}

TEST(driver_mapping, clients_come_and_go_under_load_and_nothing_is_missing) {
  mapping_machine on;
  collected got;
  uint64_t written = 0;
  {
    sample_writer first(on, 0), second(on, 1);
    for (int round = 0; round < 30; ++round) {
      if (round % 3 == 2) {
        client reader(on.machine);
        std::vector<received> records;
        ASSERT_EQ(reader.read(records), STATUS_SUCCESS);
        for (const received& record : records) got.add(record);
      } else {
        mapped_client client(on.machine);
        for (int batches = 0; batches < 5; ++batches) ASSERT_EQ(client.read(got), read_status::batch);
      }
    }
    first.stop();
    second.stop();
    written = first.written() + second.written();
  }
  mapped_client last(on.machine);
  last.drain(got);
  EXPECT_EQ(got.samples.size(), written) << "every record that was written, under one identity";
  const driver_statistics statistics = last.source->statistics();
  const account_row row = sum_of(statistics.rows, first_own_type);
  EXPECT_EQ(row.committed, written);
  EXPECT_EQ(statistics.header.violations, 0u);
  EXPECT_EQ(row.dropped_total(), row.attempted - written);
}

TEST(driver_mapping, statistics_are_exact_while_a_client_consumes) {
  mapping_machine on({.service_parameters = {{u"Sluice", u"RingBytes", 64 * 1024}}});
  mapped_client client(on.machine);
  collected got;
  std::atomic<bool> stop{false};
  std::thread consumer([&] {
    while (!stop) (void)client.read(got, 1ms);
  });
  {
    sample_writer first(on, 0), second(on, 1);
    for (int round = 0; round < 300 && !testing::Test::HasFailure(); ++round) {
      for (const protocol::statistics_row& row : client.source->statistics().rows) {
        EXPECT_TRUE(row.balances()) << "cpu " << row.cpu << " type " << row.type;
      }
    }
  }
  stop = true;
  consumer.join();
}

TEST(driver_mapping, a_gap_that_nothing_follows_is_told_by_a_flush_once_it_was_not_announced) {
  mapping_machine on({.service_parameters = {{u"Sluice", u"RingBytes", 64 * 1024}}});
  mapped_client client(on.machine);
  uint64_t dropped = 0;
  for (uint64_t value = 0; value < 10000; ++value) dropped += on.write(value) == reserve_status::dropped;
  ASSERT_GT(dropped, 0u);
  uint64_t told = 0;
  std::vector<uint8_t> buffer(protocol::min_read_bytes);
  for (bool more = true; more;) {
    client.source->flush();
    const read_result result = client.source->read(buffer, 60s);
    ASSERT_EQ(result.status, read_status::batch);
    more = false;
    for (const received& record : parse(buffer, result.bytes)) {
      if ((record.flags & batch_flag_figures) == 0) {
        more = true;
      } else {
        told = record.as<loss_payload>().events;
      }
    }
  }
  EXPECT_EQ(told, dropped);
  ASSERT_EQ(on.write(1), reserve_status::ok);  // the LOSS record goes in front of it
  collected got;
  client.drain(got);
  EXPECT_EQ(got.lost_events(), dropped);
  // Whoever comes next is not told again of what was announced.
  client.source.reset();
  sluice::test::client reader(on.machine);
  for (const received& record : reader.drain()) EXPECT_EQ(record.flags & batch_flag_figures, 0u);
}

TEST(driver_mapping, a_processor_that_is_added_is_mapped_too) {
  mapping_machine on({.processors = 1, .maximum_processors = 2});
  mapped_client client(on.machine);
  EXPECT_EQ(client.source->ring_count(), 2u);
  ASSERT_EQ(on.machine.add_processor(), STATUS_SUCCESS);
  std::thread([&] {
    const sim::activity activity(on.machine, 1, 700, 701);
    ASSERT_EQ(on.write(42), reserve_status::ok);
  }).join();
  collected got;
  while (got.samples.empty()) ASSERT_NE(client.read(got, 10ms), read_status::cancelled);
  EXPECT_EQ(client.source->ring_count(), 4u);
  EXPECT_EQ(got.samples.begin()->first.cpu, 1u);
}

}  // namespace
}  // namespace sluice::test
