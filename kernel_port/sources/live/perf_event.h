// The perf event of one CPU: a software dummy event that reports forks, execs, exits and executable mappings of every
// task on that CPU, and its ring. RAII over the file descriptor and the mapping. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "kernel_port/sources/live/perf_ring.h"

namespace sluice::live {

class perf_event {
 public:
  // Opens, disabled. None if this CPU is not online. Throws live_error: no_permission names what to set.
  // `ring_bytes` is a power of two of at least a page.
  static std::optional<perf_event> open(uint32_t cpu, uint64_t ring_bytes);

  ~perf_event();
  perf_event(perf_event&& other) noexcept;
  perf_event& operator=(perf_event&&) = delete;

  void enable();
  void disable();

  uint32_t cpu() const { return cpu_; }
  int descriptor() const { return descriptor_; }  // for poll(2): readable after every record
  perf_ring& ring() { return *ring_; }

  // All that this event had no room for since it was opened, announced in the ring or not. None before Linux 6.0.
  std::optional<uint64_t> lost() const;

 private:
  perf_event(uint32_t cpu, int descriptor, bool counts_lost) : cpu_(cpu), descriptor_(descriptor), counts_lost_(counts_lost) {}
  void map(uint64_t ring_bytes);

  uint32_t cpu_;
  int descriptor_;
  bool counts_lost_;
  void* mapping_ = nullptr;
  size_t mapping_bytes_ = 0;
  std::unique_ptr<perf_ring> ring_;
};

}  // namespace sluice::live
