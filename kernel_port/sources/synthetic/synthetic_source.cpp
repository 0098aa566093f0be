#include "kernel_port/sources/synthetic/synthetic_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "kernel_port/sources/synthetic/load_driver.h"

namespace sluice::synthetic {
namespace {

using steady_clock = std::chrono::steady_clock;

constexpr uint32_t first_pid = 0x500000;   // producers' own processes, 4 apart; above every pid of Linux
constexpr uint32_t first_child = 0x800000;  // processes and threads that they make
constexpr uint32_t flat_out_batch = 64;   // events between two looks at the wish to stop
constexpr std::chrono::microseconds shortest_sleep{100};

std::u16string name_of_bytes(std::u16string_view start, uint32_t bytes) {
  std::u16string name(start);
  if (name.size() < bytes / 2) name.resize(bytes / 2, u'x');
  return name;
}

}  // namespace

class synthetic_source::producer {
 public:
  producer(const synthetic_options& options, sim::machine& machine, uint32_t index, uint32_t count, uint32_t cpu)
      : options_(options),
        machine_(machine),
        index_(index),
        cpu_(cpu),
        pid_(first_pid + 4 * index),
        child_(first_child + 8 * index),
        random_(options.seed * 1'000'003 + index),
        pacer_(options.shape, std::max(options.rate, 1e-9) / count, dice(options.seed + 7919 * (index + 1)),
               static_cast<double>(index) / count) {
    sim::process_creation own;
    own.pid = pid_;
    (void)sim::add_existing_process(own);
    (void)sim::add_existing_thread(pid_, pid_ + 1);
  }
  ~producer() {
    stop();
    (void)sim::forget_process(pid_);
  }

  void start() { thread_ = std::thread([this] { run(); }); }

  void ask_to_stop() {
    {
      std::lock_guard lock(mutex_);
      stopping_.store(true, std::memory_order_relaxed);  // looked at with the mutex, or now and then
    }
    changed_.notify_all();
  }
  void stop() {
    ask_to_stop();
    if (thread_.joinable()) thread_.join();
  }

  void add_to(synthetic_counts& counts) const {
    for (uint32_t i = 0; i < activity_kinds; ++i) counts.made[i] += made_[i].load(std::memory_order_relaxed);  // counts
    counts.own_written += own_written_.load(std::memory_order_relaxed);
    counts.at_dispatch_level += at_dispatch_level_.load(std::memory_order_relaxed);
    counts.refused += refused_.load(std::memory_order_relaxed);
    counts.late += late_.load(std::memory_order_relaxed);
  }

 private:
  // One writer each.
  static void count(std::atomic<uint64_t>& counter) {
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  void run() {
    sim::activity activity(machine_, cpu_, pid_, pid_ + 1);
    const auto begun = steady_clock::now();
    if (options_.rate <= 0) {
      while (!stopping_.load(std::memory_order_relaxed)) {
        for (uint32_t i = 0; i < flat_out_batch; ++i) {
          if (options_.waits_for_room && !wait_for_room()) break;
          make(choose(options_.mix, random_));
        }
      }
    } else {
      for (;;) {
        const auto due = begun + std::chrono::nanoseconds(static_cast<int64_t>(pacer_.next()));
        if (!wait_until(due)) break;
        if (options_.waits_for_room && !wait_for_room()) break;
        if (steady_clock::now() - due > std::chrono::milliseconds(1)) count(late_);
        make(choose(options_.mix, random_));
      }
    }
    if (child_alive_) (void)sim::forget_process(child_);
    if (thread_alive_) (void)sim::forget_thread(child_ + 1);
  }

  // False: stop. Sleeps are not finer than shortest_sleep: what is due within one comes together.
  bool wait_until(steady_clock::time_point due) {
    if (due - steady_clock::now() < shortest_sleep) return !stopping_.load(std::memory_order_relaxed);
    std::unique_lock lock(mutex_);
    return !changed_.wait_until(lock, due, [this] { return stopping_.load(std::memory_order_relaxed); });
  }

  // False: stop.
  bool wait_for_room() {
    while (!has_room(cpu_)) {
      std::unique_lock lock(mutex_);
      if (changed_.wait_for(lock, shortest_sleep, [this] { return stopping_.load(std::memory_order_relaxed); })) return false;
    }
    return true;
  }

  void make(activity_kind kind) {
    const uint32_t bytes = choose(options_.sizes, random_);
    NTSTATUS status = STATUS_SUCCESS;
    switch (kind) {
      case activity_kind::process: status = make_process(bytes); break;
      case activity_kind::thread: status = make_thread(); break;
      case activity_kind::image: {
        sim::image_loading loading;
        loading.pid = pid_;
        loading.base = 0x7ff000000000 + sequence_ * 0x10000;
        loading.size = 0x1000;
        loading.path = name_of_bytes(u"\\Device\\HarddiskVolume1\\synthetic.dll", bytes);
        sim::load_image(loading);
        break;
      }
      case activity_kind::registry:
        data_.assign(bytes, static_cast<uint8_t>(sequence_));
        status = sim::registry_set_value({.key = u"\\REGISTRY\\MACHINE\\SOFTWARE\\Synthetic",
                                          .value = u"value",
                                          .type = REG_BINARY,
                                          .data = data_,
                                          .outcome = STATUS_SUCCESS});
        break;
      case activity_kind::own: make_own(bytes); break;
    }
    if (!NT_SUCCESS(status)) count(refused_);
    count(made_[static_cast<size_t>(kind)]);
    ++sequence_;
  }

  NTSTATUS make_process(uint32_t bytes) {
    child_alive_ = !child_alive_;
    if (!child_alive_) return sim::exit_process(child_, 0);
    sim::process_creation creation;
    creation.pid = child_;
    creation.parent_pid = pid_;
    creation.image_path = u"\\Device\\HarddiskVolume1\\synthetic.exe";
    creation.command_line = name_of_bytes(u"synthetic", bytes);
    return sim::create_process(creation);
  }

  NTSTATUS make_thread() {
    thread_alive_ = !thread_alive_;
    return thread_alive_ ? sim::create_thread(pid_, child_ + 1, 0x7ff000001000) : sim::exit_thread(pid_, child_ + 1);
  }

  void make_own(uint32_t bytes) {
    bool written;
    if (random_.chance(options_.dispatch_share)) {
      const KIRQL before = KeRaiseIrqlToDpcLevel();
      written = write_event(sequence_, index_, bytes);
      KeLowerIrql(before);
      if (written) count(at_dispatch_level_);
    } else {
      written = write_event(sequence_, index_, bytes);
    }
    if (written) count(own_written_);
  }

  const synthetic_options& options_;
  sim::machine& machine_;
  const uint32_t index_, cpu_, pid_, child_;
  dice random_;
  pacer pacer_;
  std::vector<uint8_t> data_;
  uint64_t sequence_ = 0;
  bool child_alive_ = false;
  bool thread_alive_ = false;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;

  std::atomic<uint64_t> made_[activity_kinds] = {};
  std::atomic<uint64_t> own_written_{0}, at_dispatch_level_{0}, refused_{0}, late_{0};
};

synthetic_source::synthetic_source(const synthetic_options& options, sim::machine& machine)
    : options_(options), machine_(machine) {
  const uint32_t cpus = machine.options().processors;
  const uint64_t count = uint64_t{cpus} * options.producers_per_cpu;
  if (count == 0 || count > most_producers) {
    throw std::invalid_argument(fmt::format("{} producers on each of {} CPUs: there must be 1 to {} in all",
                                            options.producers_per_cpu, cpus, most_producers));
  }
  if (*std::max_element(options.mix.begin(), options.mix.end()) <= 0) throw std::invalid_argument("a mix of nothing");
  for (uint32_t i = 0; i < count; ++i) {
    producers_.push_back(std::make_unique<producer>(options_, machine_, i, static_cast<uint32_t>(count), i % cpus));
  }
}

synthetic_source::~synthetic_source() { stop(); }

void synthetic_source::start() {
  for (const auto& each : producers_) each->start();
}

void synthetic_source::stop() {
  for (const auto& each : producers_) each->ask_to_stop();
  for (const auto& each : producers_) each->stop();
}

synthetic_counts synthetic_source::counts() const {
  synthetic_counts counts;
  for (const auto& each : producers_) each->add_to(counts);
  return counts;
}

}  // namespace sluice::synthetic
