// A client of the driver that checks what it reads: order, identity, content, announced losses. One thread at a time.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "kernel_port/driver/protocol.h"
#include "kernel_port/sim/machine.h"
#include "pipeline/batch.h"
#include "stress/event.h"

namespace sluice::stress {

// The image path that activity `activity` gives its image number `number`; the base address carries both.
std::u16string image_path_of(uint32_t activity, uint64_t number);
constexpr uint64_t image_base_of(uint32_t activity, uint64_t number) { return (activity + 1ull) << 40 | number << 12; }

// Activity n is thread first_activity_tid + n.
constexpr uint32_t first_activity_tid = 1'000'001;

// The value that an activity sets as its number `number`; key and value type carry both.
std::u16string value_key_of(uint32_t activity);
constexpr uint32_t value_bytes_of(uint32_t number) { return number * 37 % 3000; }
constexpr uint8_t value_byte_of(uint32_t activity, uint32_t number) { return static_cast<uint8_t>(activity * 31 + number); }
constexpr int32_t value_status_of(uint32_t number) {
  return number % 5 == 0 ? static_cast<int32_t>(0xc0000022) : 0;  // STATUS_ACCESS_DENIED
}

class driver_client {
 public:
  driver_client(sim::machine& machine, uint32_t cpus, uint32_t activities, const filler& from);

  // One read. False: nothing came in time.
  bool read(std::chrono::milliseconds timeout);
  // Everything that is final now.
  void drain();
  void cancel() { file_.cancel(); }
  // Begins reads, waits, closes the handle with what still pends, takes what had come, and opens another one.
  void leave_with_reads_pending(uint32_t reads, const std::function<void()>& wait);

  uint64_t received(uint32_t cpu, uint32_t type) const { return received_[cpu * max_record_types + type]; }
  // Dropped as LOSS records and, for gaps that nothing has followed, the published figures tell.
  uint64_t announced(uint32_t cpu, uint32_t type) const;
  // Committed, and not in this reader's stream: the driver had no room or no memory for it. Announced, and not by CPU.
  uint64_t lost(uint32_t type) const { return lost_[type]; }
  uint64_t lost() const;
  // Overwritten before it was read, as LOSS records tell.
  uint64_t overwritten(uint32_t cpu, uint32_t type) const { return overwritten_[cpu * max_record_types + type]; }
  uint64_t own_events(uint32_t activity) const { return activities_[activity].own; }
  bool own_missing(uint32_t activity) const { return !activities_[activity].missing.empty(); }
  uint64_t total() const { return total_; }
  uint64_t late() const { return late_; }
  uint64_t batches() const { return batches_; }
  void set_own_type(uint16_t type) { own_type_ = type; }
  // A value may come without its key or its data: the kernel had no memory for them (docs/events.md).
  void allow_missing_content() { content_may_miss_ = true; }
  // Is shown every entry that is read.
  void set_observer(std::function<void(const batch_entry&, const record_header&)> observe) { observe_ = std::move(observe); }

  std::atomic<uint32_t> rounds{0};  // duets whose event has been read

 private:
  struct activity_state {
    std::vector<bool> images;
    std::vector<bool> values;
    uint64_t own = 0;
    uint64_t next_own = 0;
    std::map<uint64_t, uint64_t> missing;  // sequence, and the time of the event that came instead
  };

  void open();
  // True: there was more than figures in the batch.
  bool check_batch(uint64_t bytes);
  void check_record(const batch_entry& entry, const record_header& record, const uint8_t* payload, uint32_t length);
  void check_loss(const batch_entry& entry, const uint8_t* payload, uint32_t length);
  void check_image(const batch_entry& entry, const uint8_t* payload, uint32_t length);
  void check_value(const batch_entry& entry, const uint8_t* payload, uint32_t length);
  void check_own(const batch_entry& entry, uint64_t time, const uint8_t* payload, uint32_t length);

  sim::machine& machine_;
  const filler& filler_;
  sim::file file_;
  std::vector<uint8_t> buffer_;
  uint64_t last_time_ = 0;
  uint32_t last_ring_ = 0;
  std::vector<uint64_t> next_position_;
  std::vector<uint64_t> received_, announced_, figures_, overwritten_, lost_;
  std::vector<activity_state> activities_;
  uint16_t own_type_ = 0;
  bool content_may_miss_ = false;
  std::function<void(const batch_entry&, const record_header&)> observe_;
  uint64_t total_ = 0, late_ = 0, batches_ = 0;
};

}  // namespace sluice::stress
