// The source that has the driver's rings mapped and merges them itself (docs/mapping.md): no copy in the kernel, one client, and no
// other consumer beside it. Records are copied once, into the reader's buffer. It sleeps through the driver, which wakes it when a
// record is closed; while events flow there is no system call but one a second, for CPUs that are added.
//
// What a batch held is given back to the kernel by the next read(): a client that dies before gets it again, with its identity.
// When the driver's machine has died, what was committed can still be read; then read() throws.
//
// Times, epochs, overdue records and figures of losses are as the driver's worker gives them.
#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <string_view>
#include <vector>

#include "consumers/driver_source.h"
#include "pipeline/batch_writer.h"
#include "pipeline/native_merge.h"
#include "producers/epoch_news.h"

namespace sluice {

class mapping_source : public driver_source {
 public:
  // Throws source_error: also if the driver has another client, cannot map, or shows rings that contradict themselves.
  explicit mapping_source(std::shared_ptr<nt_system> system, std::u16string_view name = u"Sluice");
  ~mapping_source() override;

  // Throws source_error if a ring contradicts itself, and once the driver has gone and nothing is left to read.
  read_result read(std::span<uint8_t> buffer, std::chrono::nanoseconds timeout) override;
  void flush() override;
  void cancel() override;

  uint64_t merged_late_records() const override { return merge_.late_records(); }
  uint32_t ring_count() const { return rings_; }  // attached

 private:
  using clock = std::chrono::steady_clock;
  struct overdue_note {
    uint64_t time;
    overdue_payload payload;
  };

  nt_status request(uint32_t code, std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes) override {
    return device_->control(code, in, out, bytes, {});
  }

  void map();
  void attach_ring(uint32_t ring, const protocol::mapped_ring& mapped);
  // What a merge pass hands records to.
  friend class outer_sink;
  bool accept(const record_view<native_seam>& record);
  bool add(const record_view<native_seam>& record);
  void note_set_aside(const record_view<native_seam>& record);
  bool begin_epoch(const epoch_start& start);
  static uint64_t read_counter(void* system) { return static_cast<nt_system*>(system)->counter(); }

  bool add_anchor(const record_view<native_seam>& record, uint64_t ahead);
  pass_result pass();
  void add_overdue();
  void add_unannounced();
  void serve_flush();
  read_result finish();
  bool interrupted() const { return flush_requested_ || cancelled_; }
  void look_after_rings(clock::time_point now);
  pass_result sleep(const pass_result& last, clock::time_point deadline);
  void wait(const pass_result& last, clock::time_point deadline);
  bool announce();
  void lose_driver(nt_status status);
  bool read_what_is_left(const pass_result& last);
  void leave_out(uint32_t ring);
  void pause(uint64_t ticks);
  std::chrono::nanoseconds duration_of(uint64_t ticks) const;

  std::unique_ptr<nt_device> device_;
  protocol::map_answer map_{};
  std::vector<ring_reader<native_seam>> readers_;  // room for all CPUs that there can be
  std::vector<ring_head> heads_;
  std::vector<tournament_node> nodes_;
  uint32_t rings_ = 0;         // attached
  uint32_t mapped_rings_ = 0;
  std::vector<uint64_t> announced_;  // events that LOSS records have told of, by CPU
  std::vector<overdue_note> overdue_;
  native_merge merge_;
  std::exception_ptr failure_;  // of what the merge called
  batch_writer batch_;
  clock::time_point looked_after_rings_{};
  bool gone_ = false;
  nt_status gone_status_ = 0;
  std::atomic<bool> flush_requested_{false};
  std::atomic<bool> cancelled_{false};
};

}  // namespace sluice
