// The driver's own rundown (producers/rundown.h): U1 to U4.
#include "producers/rundown.h"

#include "producers/scopes.h"
#include "tests/kernel_port/sim_test_support.h"

namespace sluice::test {
namespace {

struct own_rundown : testing::Test {
  sim::machine system{{.processors = 2}};
  sim::activity thread{system, 0, 100, 101};
  rundown users;
};

TEST_F(own_rundown, that_was_never_started_gives_nothing_and_ends_at_once) {
  EXPECT_FALSE(rundown_reference(users));
  users.end();
  EXPECT_FALSE(rundown_reference(users));
}

TEST_F(own_rundown, gives_references_between_start_and_end_as_often_as_it_is_started) {  // U1
  for (int round = 0; round < 3; ++round) {
    users.start();
    {
      const rundown_reference first(users), second(users);
      EXPECT_TRUE(first);
      EXPECT_TRUE(second);
    }
    EXPECT_TRUE(rundown_reference(users));
    users.end();
    EXPECT_FALSE(rundown_reference(users));
    users.end();  // again, and nothing changes
    EXPECT_FALSE(rundown_reference(users));
  }
}

TEST_F(own_rundown, gives_and_takes_references_at_dispatch_level) {
  users.start();
  const dispatch_section section;
  EXPECT_TRUE(rundown_reference(users));
}

TEST_F(own_rundown, waits_for_every_reference_and_gives_none_meanwhile) {  // U1, U2
  users.start();
  std::atomic<bool> held{false}, released{false};
  std::thread holder([&] {
    sim::activity other(system, 1, 200, 201);
    const rundown_reference first(users);
    EXPECT_TRUE(first);
    held = true;
    eventually([&] { return !rundown_reference(users); });  // the end has begun
    released = true;
  });
  eventually([&] { return held.load(); });
  users.end();
  EXPECT_TRUE(released);
  holder.join();
}

TEST_F(own_rundown, several_may_wait_for_its_end) {  // U2
  users.start();
  std::atomic<bool> held{false}, released{false};
  std::atomic<uint32_t> waiting{0};
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    sim::activity other(system, 1, 200, 201);
    const rundown_reference reference(users);
    held = true;
    eventually([&] { return waiting == 2 && !rundown_reference(users); });
    released = true;
  });
  eventually([&] { return held.load(); });
  for (uint32_t i = 0; i < 2; ++i) {
    threads.emplace_back([&, i] {
      sim::activity other(system, i, 300, 301 + i);
      ++waiting;
      users.end();
      EXPECT_TRUE(released);
    });
  }
  for (std::thread& each : threads) each.join();
}

// U3, U4: what is plain memory for the users is the owner's alone after the end, and so is the rundown itself.
TEST_F(own_rundown, protects_what_its_owner_frees) {
  struct place {
    rundown users;
    uint64_t written[2] = {};
  };
  for (int round = 0; round < 200; ++round) {
    auto shared = std::make_unique<place>();
    place& here = *shared;
    here.users.start();
    std::atomic<uint32_t> inside{0};
    std::atomic<bool> over{false};
    std::vector<std::thread> threads;
    for (uint32_t i = 0; i < 2; ++i) {
      threads.emplace_back([&, i] {
        sim::activity other(system, i, 200 + i, 300 + i);
        for (bool first = true; !over.load(); first = false) {
          {
            const rundown_reference reference(here.users);
            if (!reference) return;  // not looked at again: it may be gone
            ++here.written[i];
          }
          if (first) ++inside;
          eventually([&] { return inside.load() == 2; });
        }
      });
    }
    eventually([&] { return inside.load() == 2; });
    here.users.end();
    const uint64_t sum = here.written[0] + here.written[1];
    EXPECT_GE(sum, 2u);
    over = true;
    for (std::thread& each : threads) each.join();
    EXPECT_EQ(here.written[0] + here.written[1], sum);
    shared.reset();
  }
}

}  // namespace
}  // namespace sluice::test
