// The consumer over one order policy. See consumer.h.
#pragma once

#include <algorithm>

#include "stress/account_check.h"
#include "stress/audit.h"
#include "stress/consumer.h"
#include "stress/glance.h"

namespace sluice::stress {

inline constexpr uint64_t ticks_per_second = 10'000'000;  // of the simulated kernel's counter

template <class order_policy>
class merging_consumer final : public consumer {
 public:
  merging_consumer(rig& on, uint32_t writers, order_policy policy, uint64_t margin)
      : rig_(on), margin_(margin), set_aside_after_(on.options.set_aside_milliseconds * ticks_per_second / 1000),
        rings_(on.options.cpus * lanes_per_cpu), readers_(rings_), heads_(rings_), nodes_(tournament_nodes(rings_)),
        merge_(kernel_clock{}, policy), checker_(on, writers), random_(on.options.seed + 5), accounts_(on.options.cpus) {
    KeInitializeEvent(&event_, SynchronizationEvent, FALSE);
    on.channel.set_signal(&event_);
    for (uint32_t i = 0; i < rings_; ++i) {
      readers_[i].attach(on.channel.region(i / lanes_per_cpu, i % lanes_per_cpu));
    }
    merge_.attach(readers_.data(), heads_.data(), nodes_.data(), rings_, {set_aside_after_});
    checker_.set_outstanding([this](uint32_t cpu) {
      return readers_[cpu * lanes_per_cpu].set_aside_count() + readers_[cpu * lanes_per_cpu + 1].set_aside_count();
    });
    set_dump([this](uint32_t cpu) { dump(cpu); });
  }
  ~merging_consumer() override {
    set_dump({});
    if (thread_.joinable()) stop();
  }

  void start() override {
    thread_ = std::thread([this] { run(); });
  }
  void audit(const expectation& expected) override {
    request_.store(&expected, std::memory_order_release);
    KeSetEvent(&event_, IO_NO_INCREMENT, FALSE);
    while (request_.load(std::memory_order_acquire) != nullptr) std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  void stop() override {
    stopping_.store(true, std::memory_order_relaxed);
    KeSetEvent(&event_, IO_NO_INCREMENT, FALSE);
    thread_.join();
  }
  consumer_counts counts() const override { return counts_; }
  checker& checked() override { return checker_; }
  uint64_t emitted() const override { return emitted_.load(std::memory_order_relaxed); }
  const std::vector<account_row>& account() const override { return account_; }

 private:
  struct sink {
    merging_consumer& self;
    bool operator()(const view_of_record& record) {
      if (self.rig_.options.refusals && self.random_.one_in(4096)) {
        ++self.counts_.refusals;
        return false;
      }
      self.checker_.emitted(record);
      return true;
    }
    void set_aside(const view_of_record& record) {
      ++self.counts_.set_aside;
      self.checker_.set_aside(record);
    }
  };

  void run() {
    const sim::activity here(rig_.machine, 0, event_pid, 800000);
    rig::pin_to(0);
    while (!stopping_.load(std::memory_order_relaxed)) {
      if (const expectation* expected = request_.load(std::memory_order_acquire)) serve_audit(*expected);
      const pass_result result = pass();
      disturb_self();
      if (result.emitted == 0 && result.end != pass_end::sink_full) sleep();
    }
  }

  pass_result pass() {
    const uint64_t before = now();
    const pass_result result = merge_.pass(sink{*this});
    ++counts_.passes;
    if (result.end == pass_end::damaged) {
      broken("R1", result.ring / lanes_per_cpu, "the reader of ring {} met something that is no record", result.ring);
    }
    check_left_behind(result, before);
    merge_.release();
    forget_discarded();
    emitted_.store(checker_.total(), std::memory_order_relaxed);
    return result;
  }

  static uint64_t now() { return static_cast<uint64_t>(KeQueryPerformanceCounter(nullptr).QuadPart); }

  glance head_of(uint32_t ring) const {
    return look_at(rig_.channel.region(ring / lanes_per_cpu, ring % lanes_per_cpu),
                   static_cast<uint32_t>(readers_[ring].cursor()));
  }

  // M3. `before`: the clock before the pass took its T.
  void check_left_behind(const pass_result& result, uint64_t before) const {
    if (result.end != pass_end::idle_bound && result.end != pass_end::stamped) return;
    for (uint32_t ring = 0; ring < rings_; ++ring) {
      const glance head = head_of(ring);
      if (head.state == record_state::none || head.state == record_state::reserved) continue;
      if (result.end == pass_end::idle_bound && head.time + margin_ + 1 < before) {
        broken("M3", ring / lanes_per_cpu,
               "a pass that began at {} ended at an idle ring's bound and left a {} record of time {} in ring {}", before,
               name_of(head.state), head.time, ring);
      }
      if (result.end == pass_end::stamped && margin_ == 0 &&
          (head.time < result.open_time || (head.time == result.open_time && ring < result.ring))) {
        broken("M3", ring / lanes_per_cpu,
               "a pass was stopped by the open record of time {} in ring {}, and left a {} record of time {} in ring {}",
               result.open_time, result.ring, name_of(head.state), head.time, ring);
      }
    }
  }

  // Records that were set aside and then discarded never come: the checker need not wait for them.
  void forget_discarded() {
    for (uint32_t ring = 0; ring < rings_; ++ring) {
      const uint32_t consumed =
          rig_.channel.region(ring / lanes_per_cpu, ring % lanes_per_cpu).consumer->consumed.load(memory_order::relaxed);
      checker_.forget_set_aside(ring, readers_[ring].cursor() - (static_cast<uint32_t>(readers_[ring].cursor()) - consumed));
    }
  }

  // The checked order of going to sleep: announce, settle, look, sleep.
  void sleep() {
    const bool timed = random_.one_in(8);
    rig_.channel.wake().announce(timed ? announcement::threshold : announcement::any_close);
    if (margin_ != 0) KeStallExecutionProcessor(static_cast<ULONG>(rig_.options.margin_microseconds + 1));
    const pass_result result = pass();
    if (result.emitted == 0 && result.end != pass_end::sink_full && result.may_sleep() &&
        request_.load(std::memory_order_relaxed) == nullptr && !stopping_.load(std::memory_order_relaxed)) {
      wait(result, timed);
    }
    rig_.channel.wake().announce(announcement::running);
  }

  void wait(const pass_result& result, bool timed) {
    uint64_t ticks = rig_.options.watchdog_milliseconds * ticks_per_second / 1000;
    if (timed) ticks = 2 * ticks_per_second / 1000;  // W2: what is below the threshold waits no longer
    if (result.end == pass_end::stamped && set_aside_after_ != 0) {
      const uint64_t due = result.open_time + set_aside_after_ + margin_ + 1;
      const uint64_t at = now();
      ticks = std::min(ticks, due > at + 10000 ? due - at : 10000);
    }
    ++counts_.sleeps;
    if (wait_for_signal(ticks)) {
      ++counts_.signals;
      return;
    }
    if (!final_waits(timed)) return;
    // Whoever closed it may have been preempted before it looked at the announcement: that is no lost wake-up, yet.
    for (uint32_t patience = 0; patience < 1200; ++patience) {
      if (wait_for_signal(ticks_per_second / 20)) return;
    }
    report_lost_wake(timed);
  }

  bool wait_for_signal(uint64_t ticks) {
    LARGE_INTEGER interval;
    interval.QuadPart = -static_cast<LONGLONG>(ticks);
    return KeWaitForSingleObject(&event_, Executive, KernelMode, FALSE, &interval) != STATUS_TIMEOUT;
  }

  // Whether a record could be emitted now that whoever closed it must have signaled.
  bool final_waits(bool only_critical) const {
    uint32_t first = rings_;
    glance least;
    for (uint32_t ring = 0; ring < rings_; ++ring) {
      const glance head = head_of(ring);
      if (head.state == record_state::reserved) return false;
      if (head.state != record_state::none && (first == rings_ || head.time < least.time)) {
        first = ring;
        least = head;
      }
    }
    if (first != rings_ && least.is_final() && (!only_critical || is_critical_type(least.type))) return true;
    return !only_critical && checker_.any_set_aside_closed();
  }

  [[noreturn]] void report_lost_wake(bool timed) {
    broken("W1", no_cpu, "the consumer sleeps (announcement: {}), a record that is final waits, and nobody has signaled for 60 s",
           timed ? "threshold" : "any close");
  }

  void disturb_self() {
    if (rig_.options.stalls && random_.one_in(1024)) lazy_ = !lazy_;
    // A consumer that comes by now and then meets full rings and long runs; one that is always there, empty ones.
    if (lazy_) std::this_thread::sleep_for(std::chrono::microseconds(500));
    if (rig_.options.stalls && random_.one_in(4096)) {
      ++counts_.stalls;
      std::this_thread::sleep_for(std::chrono::milliseconds(1 + random_.below(15)));
    }
    if (rig_.options.statistics && now() > next_account_) {
      const uint32_t cpu = random_.below(rig_.options.cpus);
      check_running_account(rig_, cpu, take_account(rig_, cpu, &readers_[cpu * lanes_per_cpu]), accounts_[cpu], checker_,
                            outstanding(cpu));
      ++counts_.accounts;
      next_account_ = now() + ticks_per_second / 200;
    }
  }

  uint32_t outstanding(uint32_t cpu) const {
    return readers_[cpu * lanes_per_cpu].set_aside_count() + readers_[cpu * lanes_per_cpu + 1].set_aside_count();
  }

  void serve_audit(const expectation& expected) {
    account_.assign(max_record_types, account_row{});
    std::vector<cpu_account> taken(rig_.options.cpus);
    for (uint32_t cpu = 0; cpu < rig_.options.cpus; ++cpu) {
      taken[cpu] = take_account(rig_, cpu, &readers_[cpu * lanes_per_cpu]);
      check_running_account(rig_, cpu, taken[cpu], accounts_[cpu], checker_, outstanding(cpu));
      for (uint32_t type = 0; type < max_record_types; ++type) account_[type].add(taken[cpu].rows[type]);
    }
    check_at_rest(rig_, expected, taken, checker_);
    request_.store(nullptr, std::memory_order_release);
  }

  void dump(uint32_t only) const {
    fmt::print(stderr, "  seed {}, {} records emitted, {} passes\n", rig_.options.seed, checker_.total(), counts_.passes);
    for (uint32_t cpu = 0; cpu < rig_.options.cpus && (only != no_cpu || cpu < 8); ++cpu) {
      if (only != no_cpu && cpu != only) continue;
      for (uint32_t lane = 0; lane < lanes_per_cpu; ++lane) {
        const auto& reader = readers_[cpu * lanes_per_cpu + lane];
        fmt::print(stderr, "  CPU {} lane {}: cursor {:#x}, {} set aside\n", cpu, lane, reader.cursor(),
                   reader.set_aside_count());
      }
      print_rings(rig_, cpu);
      checker_.dump(cpu);
    }
  }

  rig& rig_;
  uint64_t margin_;
  uint64_t set_aside_after_;
  uint32_t rings_;
  std::vector<ring_reader<native_seam>> readers_;
  std::vector<ring_head> heads_;
  std::vector<tournament_node> nodes_;
  merge<native_seam, kernel_clock, order_policy> merge_;
  checker checker_;
  random_source random_;
  KEVENT event_{};
  consumer_counts counts_;
  std::vector<cpu_account> accounts_;
  std::vector<account_row> account_;
  uint64_t next_account_ = 0;
  bool lazy_ = false;
  std::atomic<const expectation*> request_{nullptr};
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> emitted_{0};
  std::thread thread_;
};

}  // namespace sluice::stress
