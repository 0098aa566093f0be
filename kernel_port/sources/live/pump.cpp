#include "kernel_port/sources/live/pump.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>

#include "kernel_port/sources/live/record_parser.h"

namespace sluice::live {
namespace {

constexpr uint64_t snapshot_interval = 500'000'000;  // nanoseconds between two comparisons with /proc

[[noreturn]] void fail(const char* what) {
  throw live_error(live_error_kind::system, fmt::format("{} failed: {}", what, std::strerror(errno)));
}

}  // namespace

live_source::pump::pump(const live_options& options, sink_factory make_sink)
    : options_(options), make_sink_(std::move(make_sink)) {
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  if (!std::has_single_bit(options.ring_bytes) || options.ring_bytes < page ||
      options.ring_bytes > uint64_t{1} << 30)
    throw live_error(live_error_kind::wrong_option,
                     fmt::format("a perf ring of {} bytes is not possible: it must be a power of two between {} and "
                                 "1 GiB",
                                 options.ring_bytes, page));
}

live_source::pump::~pump() {
  if (thread_.joinable()) {
    stop_time_.store(names_.now());
    wake();
    thread_.join();
  }
  if (wake_descriptor_ >= 0) close(wake_descriptor_);
}

void live_source::pump::open_events() {
  const auto configured = static_cast<uint32_t>(sysconf(_SC_NPROCESSORS_CONF));
  for (uint32_t cpu = 0; cpu < configured; ++cpu)
    if (auto event = perf_event::open(cpu, options_.ring_bytes)) cpus_.push_back({.event = std::move(*event)});
  if (cpus_.empty()) throw live_error(live_error_kind::system, "no CPU of this machine can be watched");
  for (watched_cpu& watched : cpus_) {
    polled_.push_back({.fd = watched.event.descriptor(), .events = POLLIN, .revents = 0});
    watched.event.enable();
  }
}

void live_source::pump::start() {
  if (thread_.joinable() || wake_descriptor_ >= 0)
    throw live_error(live_error_kind::wrong_option, "a live source starts once");
  wake_descriptor_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_descriptor_ < 0) fail("eventfd");
  open_events();
  polled_.push_back({.fd = wake_descriptor_, .events = POLLIN, .revents = 0});
  counted_.cpus = cpus_.size();

  thread_ = std::thread([this] { run(); });
  started_.wait(false);
  if (failure()) {
    thread_.join();
    throw *failure_;
  }
}

void live_source::pump::stop() {
  if (!thread_.joinable()) return;
  stop_time_.store(names_.now());
  wake();
  thread_.join();
  if (failure_) throw *failure_;
}

void live_source::pump::wake() {
  uint64_t one = 1;
  // It fails only if the counter is full, and then the thread wakes as well.
  [[maybe_unused]] ssize_t written = write(wake_descriptor_, &one, sizeof one);
}

void live_source::pump::run() {
  pthread_setname_np(pthread_self(), "sluice-live");
  // Without permission the source runs at the priority it has.
  (void)setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), options_.nice);
  auto announce = [this] {
    started_.store(true);
    started_.notify_all();
  };
  try {
    std::unique_ptr<activity_sink> sink = make_sink_();
    correlator correlator(*sink, names_, options_.correlation, counted_);
    correlator.begin(take_process_snapshot());
    publish(*sink);
    announce();
    watch(correlator, *sink);
  } catch (const live_error& error) {
    std::lock_guard lock(mutex_);
    failure_ = error;
  } catch (const std::bad_alloc&) {
    std::lock_guard lock(mutex_);
    failure_ = live_error(live_error_kind::system, "out of memory");
  } catch (const std::exception& error) {
    std::lock_guard lock(mutex_);
    failure_ = live_error(live_error_kind::system, fmt::format("the live source failed: {}", error.what()));
  }
  announce();
}

void live_source::pump::watch(correlator& correlator, const activity_sink& sink) {
  record_merge merge(static_cast<uint32_t>(cpus_.size()));
  while (true) {
    // T first, then the rings: record_merge.h.
    uint64_t horizon = names_.now();
    uint64_t stop_time = stop_time_.load();
    if (stop_time != 0) correlator.stop_at(stop_time);

    read_rings(merge);
    for (linux_record& record : merge.take(horizon)) correlator.observe(std::move(record));
    reconcile(correlator, horizon);
    correlator.advance(horizon);
    counted_.out_of_order = merge.out_of_order();

    if (stop_time != 0 && horizon > stop_time && correlator.stopped()) break;
    publish(sink);
    std::optional<uint64_t> until = correlator.next_look();
    if (merge.holds_records()) until = horizon;
    if (snapshot_) until = until ? std::min(*until, snapshot_->end) : snapshot_->end;
    if (correlator.wants_reconciliation()) until = until ? std::min(*until, next_snapshot_) : next_snapshot_;
    sleep(until);
  }
  for (watched_cpu& watched : cpus_) watched.event.disable();
  count_lost();
  publish(sink);
}

void live_source::pump::read_rings(record_merge& merge) {
  for (uint32_t i = 0; i < cpus_.size(); ++i) {
    perf_ring& ring = cpus_[i].event.ring();
    ring.look();
    for (auto bytes = ring.next(); !bytes.empty(); bytes = ring.next()) {
      linux_record record = parse_record(bytes);
      ++counted_.records[static_cast<size_t>(record.kind)];
      if (record.kind == record_kind::lost || record.kind == record_kind::lost_samples) {
        cpus_[i].announced_lost += record.lost;
        counted_.lost += record.lost;
        record.kind = record_kind::lost;
      }
      if (record.kind != record_kind::unknown && record.kind != record_kind::throttle)
        merge.add(i, std::move(record));
    }
    ring.release();
  }
}

// What was lost at the very end has no record behind it that would announce it; the event's own count has it.
void live_source::pump::count_lost() {
  counted_.lost = 0;
  for (watched_cpu& watched : cpus_)
    counted_.lost += std::max(watched.announced_lost, watched.event.lost().value_or(0));
}

// A comparison with /proc blocks the pump for a while, during which more can be lost: not too often.
void live_source::pump::reconcile(correlator& correlator, uint64_t horizon) {
  if (snapshot_ && horizon > snapshot_->end) {
    correlator.reconcile(std::move(*snapshot_));
    snapshot_.reset();
  }
  if (!correlator.wants_reconciliation() || snapshot_ || horizon < next_snapshot_) return;
  correlator.begin_reconciliation();
  snapshot_ = take_process_snapshot();
  next_snapshot_ = snapshot_->end + snapshot_interval;
}

void live_source::pump::sleep(std::optional<uint64_t> until) {
  timespec timeout{};
  if (until) {
    uint64_t now = names_.now();
    uint64_t wait = *until > now ? *until - now : 0;
    timeout = {.tv_sec = static_cast<time_t>(wait / 1'000'000'000), .tv_nsec = static_cast<long>(wait % 1'000'000'000)};
  }
  int ready = ppoll(polled_.data(), polled_.size(), until ? &timeout : nullptr, nullptr);
  if (ready < 0 && errno != EINTR) fail("waiting for perf records");
  if (ready <= 0) return;
  for (pollfd& polled : polled_) {
    // An event that ended (its CPU was taken away) stays readable for ever: its ring is still read, it wakes nobody.
    if ((polled.revents & (POLLERR | POLLHUP)) != 0 && polled.fd != wake_descriptor_) polled.fd = -1;
  }
  if ((polled_.back().revents & POLLIN) != 0) {
    uint64_t count;
    [[maybe_unused]] ssize_t bytes = read(wake_descriptor_, &count, sizeof count);
  }
}

void live_source::pump::publish(const activity_sink& sink) {
  counted_.refused = sink.refused();
  std::lock_guard lock(mutex_);
  published_ = counted_;
}

source_statistics live_source::pump::statistics() const {
  std::lock_guard lock(mutex_);
  return published_;
}

std::optional<std::string> live_source::pump::failure() const {
  std::lock_guard lock(mutex_);
  return failure_ ? std::optional<std::string>(failure_->what()) : std::nullopt;
}

}  // namespace sluice::live
