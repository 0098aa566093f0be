// The pipeline under real threads: several producers per virtual CPU (a mutex is its section: one writer at a time, as
// DISPATCH_LEVEL gives), reservations closed out of order and by other threads, one consumer that merges and sleeps.
// Every event is followed from the call that raised it to its arrival.
#include <gtest/gtest.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "pipeline/wake.h"
#include "tests/pipeline/support.h"

using namespace sluice;
using namespace sluice::test;

namespace {

struct steady_clock {
  uint64_t now() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<uint64_t>(time.tv_sec) * 1000000000 + static_cast<uint64_t>(time.tv_nsec);
  }
};

template <int command>
struct system_barrier {
  void operator()() const {
    if (syscall(SYS_membarrier, command, 0, 0) != 0) abort();
  }
};
using private_barrier = system_barrier<MEMBARRIER_CMD_PRIVATE_EXPEDITED>;
using global_barrier = system_barrier<MEMBARRIER_CMD_GLOBAL_EXPEDITED>;
bool register_barriers() {
  return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
         syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

// A sticky event, as KeSetEvent on a SynchronizationEvent.
class sticky_event {
 public:
  void set() {
    {
      const std::lock_guard lock(mutex_);
      is_set_ = true;
    }
    changed_.notify_one();
  }
  // False: not set within the time.
  bool wait(std::chrono::nanoseconds limit) {
    std::unique_lock lock(mutex_);
    const bool was_set = changed_.wait_for(lock, limit, [&] { return is_set_; });
    is_set_ = false;
    return was_set;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_set_ = false;
};

struct run_options {
  uint32_t cpus = 3;
  uint32_t threads_per_cpu = 2;
  uint32_t events_per_thread = 25000;
  ring_geometry main{1 << 16, 2048, 1 << 14};
  ring_geometry spare{1 << 14, 2048, 0};
  merge_options merge{};
  uint64_t hold_ns = 0;        // now and then a reservation is held for this long
  bool consumer_sleeps = true;
};

constexpr auto watchdog = std::chrono::seconds(120);

template <class policy>
class threaded_run {
 public:
  using cpu = basic_cpu<steady_clock>;

  threaded_run(const run_options& options, policy order) : options_(options), mailboxes_(thread_count()), lull_(thread_count()) {
    for (uint32_t i = 0; i < options.cpus; ++i) {
      cpu_options each;
      each.cpu = static_cast<uint16_t>(i);
      each.main = options.main;
      each.spare = options.spare;
      each.start_position = 0u - (1 << 18);  // positions wrap on the way
      cpus_.push_back(std::make_unique<cpu>(steady_clock{}, each));
    }
    sections_ = std::vector<std::mutex>(options.cpus);
    for (uint32_t i = 0; i < thread_count(); ++i) fates_.emplace_back(options.events_per_thread);
    merge_ = std::make_unique<basic_merge<steady_clock, policy>>(steady_clock{}, order, lanes_of(cpus_), options.merge);
  }

  void run() {
    std::vector<std::thread> threads;
    for (uint32_t i = 0; i < thread_count(); ++i) threads.emplace_back([this, i] { produce(i); });
    std::thread consumer([this] { consume(); });
    for (std::thread& thread : threads) thread.join();
    for (uint32_t i = 0; i < thread_count(); ++i) empty_mailbox(i);
    finished_.store(true, std::memory_order_release);
    event_.set();
    consumer.join();
    check();
  }

  uint64_t late() const { return merge_->merged.late_records(); }
  uint64_t sleeps() const { return sleeps_; }
  uint64_t drops() const { return drops_; }

 private:
  enum fate : uint8_t { unknown, committed, discarded, dropped, arrived };
  struct held {
    record open;
    uint64_t value;
  };
  struct mailbox {
    std::mutex mutex;
    std::vector<held> records;
  };

  uint32_t thread_count() const { return options_.cpus * options_.threads_per_cpu; }
  std::atomic<uint8_t>& fate_of(uint64_t value) { return fates_[value >> 32][value & 0xffffffff]; }

  void after_close() {
    if (wake_.after_close() != announcement::running) {
      event_.set();
    }
  }
  void close(const held& each, bool commit) {
    // Before the close: the record may arrive at once.
    fate_of(each.value).store(commit ? committed : discarded, std::memory_order_relaxed);
    cpu::fill(each.open, each.value);
    each.open.close(commit ? record_state::committed : record_state::discarded);
    after_close();
  }
  void empty_mailbox(uint32_t thread) {
    std::vector<held> mine;
    {
      const std::lock_guard lock(mailboxes_[thread].mutex);
      mine.swap(mailboxes_[thread].records);
    }
    for (const held& each : mine) close(each, true);
  }

  void produce(uint32_t thread) {
    std::mt19937 random(thread + 1);
    std::vector<held> open;
    std::vector<uint8_t> bytes(300);
    for (uint32_t i = 0; i < options_.events_per_thread; ++i) {
      const uint64_t value = uint64_t{thread} << 32 | i;
      // Its own CPU most of the time, as the scheduler has it; another one now and then.
      const uint32_t where = static_cast<uint32_t>((random() % 8 == 0 ? random() : thread) % options_.cpus);
      const uint32_t length = 8 + static_cast<uint32_t>(random() % 150);
      const uint16_t type = random() % 10 == 0 ? critical_type : ordinary_type;
      cpu& on = *cpus_[where];
      if (random() % 2 == 0) {
        cpu::fill(bytes.data(), length, value);
        fate_of(value).store(committed, std::memory_order_relaxed);
        reserve_status status;
        {
          const std::lock_guard section(sections_[where]);
          status = on.rings.write(type, 1, bytes.data(), length);
        }
        if (status == reserve_status::ok) {
          after_close();
        } else {
          fate_of(value).store(dropped, std::memory_order_relaxed);
        }
      } else {
        held each{{}, value};
        reserve_status status;
        {
          const std::lock_guard section(sections_[where]);
          status = on.reserve(each.open, length, type);
        }
        if (status == reserve_status::ok) {
          open.push_back(each);
        } else {
          fate_of(value).store(dropped, std::memory_order_relaxed);
        }
      }
      if (options_.hold_ns != 0 && random() % 5000 == 0) {
        std::this_thread::sleep_for(std::chrono::nanoseconds(options_.hold_ns));
      } else if (random() % 64 == 0) {
        std::this_thread::yield();
      }
      while (open.size() > random() % 5) {
        const size_t which = random() % open.size();
        if (random() % 4 == 0) {
          mailbox& to = mailboxes_[random() % thread_count()];
          const std::lock_guard lock(to.mutex);
          to.records.push_back(open[which]);
        } else {
          close(open[which], random() % 6 != 0);
        }
        open[which] = open.back();
        open.pop_back();
      }
      if (i % 4 == 0) empty_mailbox(thread);
      if (options_.consumer_sleeps && i % (options_.events_per_thread / 4) == 1) lull();
    }
    for (const held& each : open) close(each, true);
    empty_mailbox(thread);
  }

  // Everybody stops, reservations open or not, until the consumer has gone to sleep: the next close must wake it.
  void lull() {
    lull_.arrive_and_wait();
    for (uint32_t i = 0; i < 20000 && !asleep_.load(std::memory_order_relaxed); ++i) {
      std::this_thread::sleep_for(std::chrono::microseconds(500));
    }
  }

  // One pass, checked record by record.
  pass_result pass() {
    const pass_result result = merge_->merged.pass([&](const record_view<native_seam>& seen) {
      const received got = receive(seen);
      if (!got.late) {
        // M1; R2 follows for each ring.
        if (got.place() <= last_) ++order_errors_;
        last_ = got.place();
      }
      if (got.type == record_type_loss) {
        ++loss_records_;
        announced_[got.cpu] += decode_loss(got.payload).fixed.events;
        return true;
      }
      ++arrived_;
      if (!got.intact() || got.value() >> 32 >= thread_count()) {
        ++damaged_;
      } else if (fate_of(got.value()).exchange(arrived, std::memory_order_relaxed) != committed) {
        ++unexpected_;  // M2: twice, or never committed
      }
      return true;
    });
    merge_->merged.release();
    return result;
  }

  void consume() {
    std::mt19937 random(99);
    for (;;) {
      const bool last_round = finished_.load(std::memory_order_acquire);
      pass_result result = pass();
      if (last_round && result.end == pass_end::idle_bound && !result.closed_pending && result.emitted == 0) return;
      if (result.emitted != 0 && random() % 3 != 0) continue;
      if (!options_.consumer_sleeps) continue;
      // The checked order of going to sleep.
      wake_.announce(announcement::any_close);
      steady_clock clock;
      if (const uint64_t settle = merge_->merged.policy().ticks_to_settle(clock); settle != 0) {
        std::this_thread::sleep_for(std::chrono::nanoseconds(settle));
      }
      result = pass();
      if (result.emitted == 0 && result.may_sleep() && !finished_.load(std::memory_order_acquire)) {
        ++sleeps_;
        asleep_.store(true, std::memory_order_relaxed);
        const uint64_t limit = options_.merge.set_aside_after;
        if (limit != 0 && result.open_time != 0) {
          (void)event_.wait(std::chrono::nanoseconds(limit));
        } else if (!event_.wait(watchdog)) {
          ++lost_wakeups_;  // W1
        }
        asleep_.store(false, std::memory_order_relaxed);
      }
      wake_.announce(announcement::running);
    }
  }

  void check() {
    EXPECT_EQ(order_errors_, 0u) << "M1";
    EXPECT_EQ(damaged_, 0u);
    EXPECT_EQ(unexpected_, 0u) << "M2: nothing twice, nothing that was not committed";
    EXPECT_EQ(lost_wakeups_, 0u) << "W1";
    uint64_t counts[5] = {};
    for (const auto& thread : fates_) {
      for (const auto& each : thread) ++counts[each.load(std::memory_order_relaxed)];
    }
    EXPECT_EQ(counts[unknown], 0u);
    EXPECT_EQ(counts[committed], 0u) << "M2: every committed record arrived";
    EXPECT_EQ(counts[arrived], arrived_);
    drops_ = counts[dropped];

    account_row sum{};
    account_row loss{};
    uint64_t figures_events = 0;
    for (uint32_t i = 0; i < options_.cpus; ++i) {
      EXPECT_EQ(cpus_[i]->rings.violations(), 0u) << "R5: an honest consumer is never flagged";
      for (uint16_t type : {ordinary_type, critical_type}) {
        const account_row row = cpus_[i]->account(type);
        EXPECT_TRUE(row.balances()) << "R3";
        sum.add(row);
      }
      loss.add(cpus_[i]->account(record_type_loss));
      loss_summary figures;
      EXPECT_TRUE(read_loss_figures(cpus_[i]->main.view.producer->loss, figures));
      EXPECT_LE(announced_[i], figures.events);
      figures_events += figures.events;
    }
    EXPECT_EQ(sum.attempted, uint64_t{thread_count()} * options_.events_per_thread);
    EXPECT_EQ(sum.committed, counts[arrived]);
    EXPECT_EQ(sum.discarded, counts[discarded]);
    EXPECT_EQ(sum.dropped_total(), counts[dropped]);
    EXPECT_EQ(sum.open, 0u);
    EXPECT_EQ(loss.committed, loss_records_);
    EXPECT_EQ(figures_events, counts[dropped]) << "R4";
  }

  const run_options options_;
  std::vector<std::unique_ptr<cpu>> cpus_;
  std::vector<std::mutex> sections_;
  std::vector<mailbox> mailboxes_;
  std::vector<std::vector<std::atomic<uint8_t>>> fates_;
  std::unique_ptr<basic_merge<steady_clock, policy>> merge_;
  wake_line<native_seam> wake_;
  sticky_event event_;
  std::atomic<bool> finished_{false};
  std::barrier<> lull_;
  std::atomic<bool> asleep_{false};

  // The consumer's, read after it has ended.
  std::tuple<uint64_t, uint16_t, uint8_t, uint64_t> last_{};
  std::map<uint16_t, uint64_t> announced_;
  uint64_t arrived_ = 0;
  uint64_t loss_records_ = 0;
  uint64_t order_errors_ = 0;
  uint64_t damaged_ = 0;
  uint64_t unexpected_ = 0;
  uint64_t lost_wakeups_ = 0;
  uint64_t sleeps_ = 0;
  uint64_t drops_ = 0;
};

}  // namespace

TEST(threads, m1_exact_order_is_never_late_and_w1_no_wake_up_is_lost) {
  ASSERT_TRUE(register_barriers()) << "this kernel has no expedited membarrier";
  threaded_run<exact_order<private_barrier>> run({}, exact_order<private_barrier>());
  run.run();
  EXPECT_EQ(run.late(), 0u);
  EXPECT_GT(run.sleeps(), 0u);
}

TEST(threads, m1_exact_order_across_processes_barrier_and_rings_that_overflow) {
  ASSERT_TRUE(register_barriers()) << "this kernel has no expedited membarrier";
  run_options options;
  options.cpus = 2;
  options.threads_per_cpu = 3;
  options.events_per_thread = 20000;
  options.main = small_main;
  options.spare = small_spare;
  threaded_run<exact_order<global_barrier>> run(options, exact_order<global_barrier>());
  run.run();
  EXPECT_EQ(run.late(), 0u);
  EXPECT_GT(run.drops(), 0u) << "the rings were meant to overflow";
}

TEST(threads, m1_slack_order_with_a_wide_margin_is_not_late) {
  run_options options;
  options.events_per_thread = 15000;
  threaded_run<slack_order> run(options, slack_order(2000000));
  run.run();
  EXPECT_EQ(run.late(), 0u);
  EXPECT_GT(run.sleeps(), 0u);
}

TEST(threads, m2_bounded_order_delivers_each_record_once_however_late) {
  ASSERT_TRUE(register_barriers()) << "this kernel has no expedited membarrier";
  run_options options;
  options.events_per_thread = 15000;
  options.merge.set_aside_after = 300000;
  options.hold_ns = 3000000;
  threaded_run<exact_order<private_barrier>> run(options, exact_order<private_barrier>());
  run.run();
  EXPECT_GT(run.late(), 0u) << "some were held longer than the limit";
}
