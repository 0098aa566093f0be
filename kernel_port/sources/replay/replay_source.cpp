#include "kernel_port/sources/replay/replay_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <new>

#include "kernel_port/sources/replay/lane.h"

namespace sluice::replay {
namespace {

using steady = std::chrono::steady_clock;

constexpr uint32_t system_process = 4;
constexpr uint64_t longest_pause = 6'000'000'000;  // ten minutes of recorded time

uint32_t lanes_for(uint32_t cpus) {
  return std::min(cpus, std::max(2u, std::thread::hardware_concurrency()));
}

// What an event's record takes at most: header, fixed fields, strings.
uint64_t record_bytes(const recorded_event& event) { return 192 + event.bytes() - sizeof event; }

uint64_t counter() { return static_cast<uint64_t>(KeQueryPerformanceCounter(nullptr).QuadPart); }

// Records of different CPUs with the same time stand in the order of their CPUs: what happens after something on another
// CPU must not be stamped within the same tick. A thread that really moves takes far longer.
void let_the_clock_tick() {
  const uint64_t now = counter();
  while (counter() == now) {
  }
}

}  // namespace

class replay_source::player {
 public:
  player(const replay_options& options, sim::machine& machine)
      : options_(options),
        machine_(machine),
        cpus_(machine.options().processors),
        recording_(options.path, options.watch),
        faults_(recording_.faults()),
        plan_(lanes_for(cpus_), cpus_, options.seed, recording_.hosts()),
        progress_(recording_.progress()) {}

  ~player() { stop(); }

  void start() { dispatcher_ = std::thread([this] { run(); }); }

  void stop() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    if (dispatcher_.joinable()) dispatcher_.join();
  }

  bool finished() const { return finished_.load(std::memory_order_acquire); }  // pairs with the release in run()

  std::optional<std::string> failure() const {
    std::lock_guard lock(mutex_);
    return failure_;
  }

  replay_counts counts() const {
    replay_counts all;
    {
      std::lock_guard lock(mutex_);
      all.plan = published_plan_;
      all.progress = progress_;
      all.cut_pauses = cut_pauses_;
      all.pauses_for_reader = pauses_for_reader_;
    }
    all.repair = recording_.counts();
    all.hosts = recording_.hosts();
    for (uint32_t i = 0; i < event_kinds; ++i) all.raised[i] = raised_[i].load(std::memory_order_relaxed);  // counts
    all.refused = refused_.load(std::memory_order_relaxed);
    return all;
  }

  std::vector<std::string> take_faults() {
    std::lock_guard lock(mutex_);
    return std::exchange(faults_, {});
  }

 private:
  void run() {
    try {
      const uint32_t lanes = lanes_for(cpus_);
      for (uint32_t i = 0; i < lanes; ++i) {
        lanes_.push_back(std::make_unique<lane>(
            machine_, i, [this](sim::activity& activity, const planned_event& event) { raise(activity, event); },
            [this](lane_step step) { lanes_[step.lane]->await(step.ticket); }));
      }
      play();
    } catch (const std::bad_alloc&) {
      std::lock_guard lock(mutex_);
      failure_ = "out of memory";
    } catch (const std::exception& error) {
      std::lock_guard lock(mutex_);
      failure_ = error.what();
    }
    for (const auto& each : lanes_) each->close();
    publish();
    finished_.store(true, std::memory_order_release);
  }

  void play() {
    std::vector<uint64_t> raised_bytes(cpus_);
    repaired_event event;
    uint64_t steps = 0;
    while (recording_.next(event)) {
      if (!wait_for_its_time(event)) return;
      planned_event planned = plan_.next(std::move(event));
      if (!planned.forget.empty()) {
        rest(planned.lane);
        for (const uint32_t pid : planned.forget) (void)sim::forget_process(pid);
      }
      if (options_.wait_until_read) {
        const uint64_t bytes = record_bytes(planned.event);
        if (raised_bytes[planned.cpu] != 0 && raised_bytes[planned.cpu] + bytes > options_.burst_bytes) {
          rest(planned.lane);
          if (!options_.wait_until_read()) return;
          std::fill(raised_bytes.begin(), raised_bytes.end(), 0);
          ++pauses_for_reader_;
        }
        raised_bytes[planned.cpu] += bytes;
      }
      const uint32_t to = planned.lane;
      lanes_[to]->give(std::move(planned));
      if (++steps % 256 == 0) publish();
    }
    if (options_.wait_until_read) {
      rest(~0u);
      (void)options_.wait_until_read();
    }
  }

  // Every lane has raised what it was given. `planned_for` has been promised one step more.
  void rest(uint32_t planned_for) {
    for (uint32_t i = 0; i < lanes_.size(); ++i) lanes_[i]->await(plan_.steps(i) - (i == planned_for));
  }

  // False: stop.
  bool wait_for_its_time(const repaired_event& event) {
    std::unique_lock lock(mutex_);
    if (options_.speed <= 0) return !stopping_;
    if (!begun_) {
      begun_ = steady::now();
    } else if (event.segment == segment_ && event.time > last_time_) {
      const uint64_t pause = std::min(event.time - last_time_, longest_pause);
      if (pause != event.time - last_time_) ++cut_pauses_;
      played_ += pause;
    }
    segment_ = event.segment;
    last_time_ = event.time;
    const auto due = *begun_ + std::chrono::nanoseconds(static_cast<int64_t>(static_cast<double>(played_) * 100 / options_.speed));
    changed_.wait_until(lock, due, [this] { return stopping_; });
    return !stopping_;
  }

  void raise(sim::activity& activity, const planned_event& planned) {
    const recorded_event& event = planned.event;
    if (planned.moves) let_the_clock_tick();
    activity.become(planned.cpu, planned.pid, planned.tid);
    if (planned.forget_subject) (void)sim::forget_process(planned.subject);
    if (planned.subject_is_new) {
      sim::process_creation known;
      known.pid = planned.subject;
      (void)sim::add_existing_process(known);  // it may be there already: System, or the process that acts
    }
    const NTSTATUS status = raise_event(planned);
    if (NT_SUCCESS(status)) {
      raised_[static_cast<size_t>(event.kind)].fetch_add(1, std::memory_order_relaxed);
    } else {
      refused_.fetch_add(1, std::memory_order_relaxed);
    }
  }

  static NTSTATUS raise_event(const planned_event& planned) {
    const recorded_event& event = planned.event;
    switch (event.kind) {
      case event_kind::process_create: {
        sim::process_creation creation;
        creation.pid = planned.subject;
        creation.parent_pid = planned.parent;
        creation.image_path = event.image;
        creation.command_line = event.command_line;
        return sim::create_process(creation);
      }
      case event_kind::process_exit:
        if (planned.subject <= system_process) return STATUS_INVALID_CID;  // the machine needs it
        return sim::exit_process(planned.subject, 0);
      case event_kind::driver_load:
      case event_kind::image_load: {
        sim::image_loading loading;
        loading.pid = planned.subject;
        loading.system_mode = event.kind == event_kind::driver_load;
        loading.path = event.path;
        sim::load_image(loading);
        return STATUS_SUCCESS;
      }
      case event_kind::remote_thread: {
        const uint32_t tid = (planned.subject & ~max_id) | event.tid;
        (void)sim::forget_thread(tid);
        const NTSTATUS status = sim::create_thread(planned.subject, tid, event.start_address);
        (void)sim::forget_thread(tid);  // the recording has no ends of threads
        return status;
      }
      default: return raise_registry(event);
    }
  }

  // The log names operations that succeeded.
  static NTSTATUS raise_registry(const recorded_event& event) {
    switch (event.kind) {
      case event_kind::registry_create_key: return sim::registry_create_key({.key = event.key, .outcome = STATUS_SUCCESS});
      case event_kind::registry_delete_key: return sim::registry_delete_key({.key = event.key, .outcome = STATUS_SUCCESS});
      case event_kind::registry_set_value:
        return sim::registry_set_value({.key = event.key,
                                        .value = event.value,
                                        .type = event.value_type,
                                        .data = event.data,
                                        .outcome = STATUS_SUCCESS});
      case event_kind::registry_delete_value:
        return sim::registry_delete_value({.key = event.key, .value = event.value, .outcome = STATUS_SUCCESS});
      default: {
        const std::u16string_view path = event.new_key;
        return sim::registry_rename_key(
            {.key = event.key, .new_name = path.substr(path.rfind(u'\\') + 1), .outcome = STATUS_SUCCESS});
      }
    }
  }

  void publish() {
    std::lock_guard lock(mutex_);
    published_plan_ = plan_.counts();
    progress_ = recording_.progress();
  }

  const replay_options options_;
  sim::machine& machine_;
  const uint32_t cpus_;
  repaired_recording recording_;
  std::vector<std::string> faults_;
  raise_plan plan_;
  std::vector<std::unique_ptr<lane>> lanes_;
  std::thread dispatcher_;
  std::atomic<bool> finished_{false};
  std::atomic<uint64_t> raised_[event_kinds] = {};
  std::atomic<uint64_t> refused_{0};

  // The dispatcher's own.
  std::optional<steady::time_point> begun_;
  uint64_t played_ = 0;  // recorded time, 100 ns units
  uint64_t last_time_ = 0;
  uint32_t segment_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::optional<std::string> failure_;
  plan_counts published_plan_;
  reading_progress progress_;
  uint64_t cut_pauses_ = 0;
  uint64_t pauses_for_reader_ = 0;
};

replay_source::replay_source(const replay_options& options, sim::machine& machine)
    : player_(std::make_unique<player>(options, machine)) {}
replay_source::~replay_source() = default;

void replay_source::start() { player_->start(); }
void replay_source::stop() { player_->stop(); }
bool replay_source::finished() const { return player_->finished(); }
std::optional<std::string> replay_source::failure() const { return player_->failure(); }
replay_counts replay_source::counts() const { return player_->counts(); }
std::vector<std::string> replay_source::take_faults() { return player_->take_faults(); }

}  // namespace sluice::replay
