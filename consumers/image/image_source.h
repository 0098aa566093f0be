// The source that reads the rings of an image: a saved region, a raw memory image or a core file (docs/image-format.md).
//
// It gives what is complete in the order of the merge, then ends (read_status::end). report() says what else there was.
// Once more than one boot is found, the newest is read unless one was asked for. One thread at a time.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "consumers/event_source.h"
#include "consumers/image/image_report.h"
#include "pipeline/batch_writer.h"
#include "pipeline/merge.h"

namespace sluice::image {

struct image_options {
  ring_choice choice;
  std::optional<uint64_t> boot;                    // which one
  std::function<void(uint64_t, uint64_t)> watch;   // bytes looked through, of how many
};

class image_source : public event_source {
 public:
  // Throws image_error: the file cannot be read, or no rings are in it.
  explicit image_source(const std::string& path, const image_options& options = {});

  size_t least_buffer() const override { return least_buffer_; }
  read_result read(std::span<uint8_t> buffer, std::chrono::nanoseconds timeout) override;
  protocol::capabilities capabilities() override { return capabilities_; }
  driver_statistics statistics() override { return {}; }  // the driver is gone
  std::vector<uint8_t> types() override { return types_; }
  // Leaves out the records of other types.
  void set_types(uint64_t types) override { selected_types_ = types; }
  void flush() override {}
  void cancel() override {}
  uint64_t now() override { return 0; }

  const image_report& report() const { return report_; }
  // What is wrong with the image, since the last call.
  std::vector<std::string> take_faults();

 private:
  // Nothing comes any more: whatever time a record has, it is in the past.
  struct end_of_time {
    uint64_t now() const { return ~uint64_t{0}; }
  };

  void take_boot(const image_memory& memory, const found_boot& boot, const ring_choice& choice);
  void take_catalog(const image_memory& memory, const found_catalog& catalog);
  void start_merge();
  bool accept(const record_view<native_seam>& record);
  bool begin_epoch(const epoch_start& start);
  struct batch_sink {
    image_source& self;
    bool operator()(const record_view<native_seam>& record) { return self.accept(record); }
    bool begin_epoch(const epoch_start& start) { return self.begin_epoch(start); }
  };
  bool add_losses();

  image_report report_;
  std::vector<std::string> faults_;
  protocol::capabilities capabilities_{};
  std::vector<uint8_t> types_;
  std::vector<frozen_ring> rings_;
  std::vector<ring_reader<native_seam>> readers_;
  std::vector<ring_head> heads_;
  std::vector<tournament_node> nodes_;
  merge<native_seam, end_of_time, slack_order> merge_{end_of_time{}, slack_order(0)};
  batch_writer batch_;
  uint64_t selected_types_ = ~uint64_t{0};
  // By CPU: the end of the last gap that a LOSS record tells of; both lanes share an account.
  std::vector<uint64_t> announced_until_;
  std::vector<uint64_t> laps_;  // by CPU and lane: what a position has above its 32 bits
  size_t losses_added_ = 0;     // rings whose figures were looked at
  size_t least_buffer_ = protocol::min_read_bytes;
};

}  // namespace sluice::image
