// A handle that is closed while its reads pend and the worker may have one in hand. One host thread runs at a time, as a seed decides:
// hundreds of orders, the same ones each time.
#include "kernel_port/sim/scheduled_thread.h"
#include "stress/random.h"
#include "tests/kernel_port/driver_port_support.h"

namespace sluice::test {
namespace {

constexpr uint64_t most_points = 5'000'000;

void pause_for(uint64_t nanoseconds) {
  sim::parker own;
  const auto until = sim::the_scheduler.now() + std::chrono::nanoseconds(nanoseconds);
  while (sim::the_scheduler.now() < until) sim::the_scheduler.wait(own, until);
}

// Counts; whoever reads the counts comes after the close.
struct answers final : sim::completion_port {
  uint32_t given = 0, cancelled = 0, others = 0;
  void completed(uint64_t, NTSTATUS status, std::span<const uint8_t>) noexcept override {
    ++(status == STATUS_SUCCESS ? given : status == STATUS_CANCELLED ? cancelled : others);
  }
  uint32_t all() const { return given + cancelled + others; }
};

struct totals {
  uint64_t given = 0, cancelled = 0;
};

// Beside a client of the port the reader has a queue, and a flush that comes while another one is answered puts the read back.
void come_and_go(uint64_t seed, totals& seen) {
  const sim::one_at_a_time turns(seed, most_points, {}, [seed](const char* why) {
    std::fprintf(stderr, "seed %llu: %s\n", static_cast<unsigned long long>(seed), why);
    std::abort();
  });
  sim::machine_options options;
  options.processors = 2;
  options.check_paged_access = false;
  loaded_machine on(options);
  port_client beside(on.machine);
  std::atomic<bool> stop{false};
  sim::scheduled_thread asking([&] {
    stress::random_source random(seed);
    client asks(on.machine);
    for (uint64_t bytes = 0; !stop.load();) {
      ASSERT_EQ(asks.file.control(protocol::code_flush, {}, {}, bytes), STATUS_SUCCESS);
      if (random.one_in(2)) pause_for(random.below(200'000));
    }
  });
  stress::random_source random(seed * 3);
  for (uint32_t round = 0; round < 20; ++round) {
    sim::file reader;
    answers got;
    ASSERT_EQ(reader.open(on.machine, u"Sluice", client::pid), STATUS_SUCCESS);
    const uint32_t reads = 1 + random.below(3);
    for (uint32_t i = 0; i < reads; ++i) reader.begin_read(protocol::min_read_bytes, i, got);
    pause_for(random.below(random.one_in(2) ? 1'000'000 : 20'000));
    reader.close();
    ASSERT_EQ(got.all(), reads) << "seed " << seed << ", round " << round;
    ASSERT_EQ(got.others, 0u) << "seed " << seed << ", round " << round;
    seen.given += got.given;
    seen.cancelled += got.cancelled;
  }
  stop = true;
  asking.join();
}

TEST(driver_leaving_reader, that_has_reads_pending_has_them_all_answered_once) {
  totals seen;
  for (uint64_t seed = 1; seed <= 100 && !testing::Test::HasFailure(); ++seed) come_and_go(seed, seen);
  EXPECT_GT(seen.given, 100u);
  EXPECT_GT(seen.cancelled, 100u);
}

}  // namespace
}  // namespace sluice::test
