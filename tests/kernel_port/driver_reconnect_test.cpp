// Clients that come and go for ever, by each way in, beside one that stays: no handle, slot, view, thread or block is left of them, and
// the figures of who has gone still add up. SLUICE_RECONNECTS: how many come, 1000 if not given.
#include <cstdlib>

#include "tests/kernel_port/driver_mapping_support.h"
#include "tests/kernel_port/driver_port_support.h"

namespace sluice::test {
namespace {

uint64_t reconnects() {
  const char* const given = std::getenv("SLUICE_RECONNECTS");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 1000;
}

void expect_the_same(const sim::machine::usage& now, const sim::machine::usage& before) {
  EXPECT_EQ(now.pool_blocks, before.pool_blocks);
  EXPECT_EQ(now.pool_bytes, before.pool_bytes);
  EXPECT_EQ(now.system_threads, before.system_threads);
  EXPECT_EQ(now.filter_connections, before.filter_connections);
  EXPECT_EQ(now.user_mappings, before.user_mappings);
  EXPECT_EQ(now.handles, before.handles);
}

TEST(driver_reconnect, of_a_port_leaves_nothing_and_every_slot_free) {
  loaded_machine on;
  port_client stays(on.machine, wants(~uint64_t{0}, 0, "stays"));
  std::vector<received> came = stays.drain();
  const sim::machine::usage before = on.machine.in_use();
  const uint64_t rounds = reconnects();
  for (uint64_t i = 0; i < rounds; ++i) {
    port_client goes(on.machine, wants(~uint64_t{0}, 0, "goes"), 4200);
    if (i % 16 == 0) sim::load_image({.base = i});  // some are sent a batch, and do not take it
    if (i % 3 == 0) {
      EXPECT_EQ(goes.flush(), STATUS_SUCCESS);
    }
  }
  EXPECT_TRUE(wait_until([&] { return on.machine.in_use().system_threads == before.system_threads; }));
  for (received& record : stays.drain()) came.push_back(std::move(record));
  EXPECT_EQ(of_type(came, event_type_image_load).size() + client_losses(came, event_type_image_load), (rounds + 15) / 16);
  protocol::clients_header about;
  EXPECT_EQ(stays.clients(&about).size(), 1u);
  EXPECT_EQ(about.gone_clients, rounds);
  EXPECT_EQ(about.gone_offered, about.gone_delivered + about.gone_lost + about.gone_undelivered);
  expect_the_same(on.machine.in_use(), before);
  std::vector<std::unique_ptr<port_client>> others;
  while (others.size() + 1 < protocol::max_port_clients) others.push_back(std::make_unique<port_client>(on.machine));
  port_client one_more;
  EXPECT_EQ(one_more.connect(on.machine), STATUS_CONNECTION_COUNT_LIMIT);
}

TEST(driver_reconnect, of_the_device_leaves_nothing_and_loses_nothing) {
  loaded_machine on;
  const sim::machine::usage before = on.machine.in_use();
  std::vector<received> came;
  const uint64_t rounds = reconnects();
  for (uint64_t i = 0; i < rounds; ++i) {
    client goes(on.machine);
    if (i % 16 != 0) continue;  // most open it, and close it
    sim::load_image({.base = i});
    for (received& record : goes.drain()) came.push_back(std::move(record));
  }
  EXPECT_EQ(of_type(came, event_type_image_load).size(), (rounds + 15) / 16);
  expect_the_same(on.machine.in_use(), before);
}

TEST(driver_reconnect, of_a_mapping_leaves_no_view) {
  mapping_machine on;
  const sim::machine::usage before = on.machine.in_use();
  collected came;
  const uint64_t rounds = reconnects() / 10;  // each maps and unmaps every ring
  for (uint64_t i = 0; i < rounds; ++i) {
    ASSERT_EQ(on.write(i), reserve_status::ok);
    mapped_client goes(on.machine);
    if (i % 4 == 0) goes.drain(came);
  }
  mapped_client(on.machine).drain(came);
  EXPECT_EQ(came.samples.size(), rounds);
  EXPECT_EQ(came.lost_events(), 0u);
  expect_the_same(on.machine.in_use(), before);
}

}  // namespace
}  // namespace sluice::test
