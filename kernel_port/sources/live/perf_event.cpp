#include "kernel_port/sources/live/perf_event.h"

#include <fmt/format.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "kernel_port/sources/live/live_error.h"

namespace sluice::live {
namespace {

constexpr uint64_t read_format_lost = 1u << 4;  // PERF_FORMAT_LOST; headers before Linux 6.0 lack the name

perf_event_attr attributes() {
  perf_event_attr attribute{};
  attribute.size = sizeof attribute;
  attribute.type = PERF_TYPE_SOFTWARE;
  attribute.config = PERF_COUNT_SW_DUMMY;
  attribute.disabled = 1;
  attribute.exclude_kernel = 1;  // asks for less permission; the records below come all the same
  attribute.exclude_hv = 1;
  attribute.task = 1;
  attribute.comm = 1;
  attribute.comm_exec = 1;
  attribute.mmap = 1;
  attribute.mmap2 = 1;
  attribute.sample_id_all = 1;
  attribute.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU;
  attribute.use_clockid = 1;
  attribute.clockid = CLOCK_MONOTONIC;
  // Wake the reader at every record: wakeup_events would count samples only, and there are none.
  attribute.watermark = 1;
  attribute.wakeup_watermark = 1;
  attribute.read_format = read_format_lost;
  return attribute;
}

int open_event(perf_event_attr& attribute, uint32_t cpu) {
  return static_cast<int>(
      syscall(SYS_perf_event_open, &attribute, -1, static_cast<int>(cpu), -1, PERF_FLAG_FD_CLOEXEC));
}

std::string paranoid_level() {
  std::string level;
  std::ifstream("/proc/sys/kernel/perf_event_paranoid") >> level;
  return level.empty() ? "unreadable" : level;
}

[[noreturn]] void fail_to_open(uint32_t cpu, int error) {
  if (error == EACCES || error == EPERM)
    throw live_error(live_error_kind::no_permission,
                     fmt::format("no permission to watch this machine (perf_event_open on CPU {}: {}; "
                                 "kernel.perf_event_paranoid is {}): run as root, give the program CAP_PERFMON, or set "
                                 "`sysctl kernel.perf_event_paranoid=-1`",
                                 cpu, std::strerror(error), paranoid_level()));
  if (error == ENOSYS || error == ENOENT || error == EOPNOTSUPP)
    throw live_error(live_error_kind::unsupported,
                     fmt::format("this kernel has no perf events (perf_event_open on CPU {}: {}): it needs "
                                 "CONFIG_PERF_EVENTS",
                                 cpu, std::strerror(error)));
  throw live_error(live_error_kind::system,
                   fmt::format("perf_event_open on CPU {} failed: {}", cpu, std::strerror(error)));
}

}  // namespace

std::optional<perf_event> perf_event::open(uint32_t cpu, uint64_t ring_bytes) {
  perf_event_attr attribute = attributes();
  int descriptor = open_event(attribute, cpu);
  if (descriptor < 0 && errno == EINVAL) {
    attribute.read_format = 0;
    descriptor = open_event(attribute, cpu);
  }
  if (descriptor < 0) {
    if (errno == ENODEV) return std::nullopt;
    fail_to_open(cpu, errno);
  }
  perf_event event(cpu, descriptor, attribute.read_format != 0);
  event.map(ring_bytes);
  return event;
}

void perf_event::map(uint64_t ring_bytes) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  mapping_bytes_ = page + ring_bytes;
  void* memory = mmap(nullptr, mapping_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
  if (memory == MAP_FAILED) {
    if (errno == EPERM)
      throw live_error(live_error_kind::no_permission,
                       fmt::format("no permission to lock {} KiB for the perf ring of CPU {}: run as root, raise "
                                   "`sysctl kernel.perf_event_mlock_kb`, or ask for smaller perf rings",
                                   mapping_bytes_ / 1024, cpu_));
    throw live_error(live_error_kind::system,
                     fmt::format("mapping {} KiB for the perf ring of CPU {} failed: {}", mapping_bytes_ / 1024, cpu_,
                                 std::strerror(errno)));
  }
  mapping_ = memory;
  auto* control = static_cast<perf_event_mmap_page*>(memory);
  ring_ = std::make_unique<perf_ring>(
      control, std::span<const uint8_t>(static_cast<const uint8_t*>(memory) + page, ring_bytes), cpu_);
}

perf_event::perf_event(perf_event&& other) noexcept
    : cpu_(other.cpu_),
      descriptor_(std::exchange(other.descriptor_, -1)),
      counts_lost_(other.counts_lost_),
      mapping_(std::exchange(other.mapping_, nullptr)),
      mapping_bytes_(other.mapping_bytes_),
      ring_(std::move(other.ring_)) {}

perf_event::~perf_event() {
  if (mapping_ != nullptr) munmap(mapping_, mapping_bytes_);
  if (descriptor_ >= 0) close(descriptor_);
}

void perf_event::enable() {
  if (ioctl(descriptor_, PERF_EVENT_IOC_ENABLE, 0) != 0)
    throw live_error(live_error_kind::system,
                     fmt::format("enabling the perf event of CPU {} failed: {}", cpu_, std::strerror(errno)));
}

void perf_event::disable() { (void)ioctl(descriptor_, PERF_EVENT_IOC_DISABLE, 0); }

std::optional<uint64_t> perf_event::lost() const {
  if (!counts_lost_) return std::nullopt;
  uint64_t values[2];  // the count, then what was lost
  if (read(descriptor_, values, sizeof values) != sizeof values) return std::nullopt;
  return values[1];
}

}  // namespace sluice::live
