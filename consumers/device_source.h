// The source that reads the driver's device (kernel_port/driver/protocol.h): IRP_MJ_READ pends in the driver until a batch
// is final; everything else is a device control. The device is one of the simulated machine's.
#pragma once

#include <memory>
#include <string_view>

#include "consumers/event_source.h"
#include "kernel_port/sim/machine.h"

namespace sluice {

class device_source : public event_source {
 public:
  // Opens the device as process `pid`. Throws source_error.
  device_source(sim::machine& machine, uint32_t pid, std::u16string_view name = u"Sluice");

  size_t least_buffer() const override { return protocol::min_read_bytes; }
  read_result read(std::span<uint8_t> buffer, std::chrono::nanoseconds timeout) override;
  protocol::capabilities capabilities() override;
  driver_statistics statistics() override;
  std::vector<uint8_t> types() override;
  void set_types(uint64_t types) override;
  filter_answer set_filter(std::span<const uint8_t> message) override;
  size_t copy_ring(const protocol::ring_copy_request& request, std::span<uint8_t> answer) override;
  void flush() override;
  void cancel() override;
  uint64_t now() override;

  void close();

 private:
  uint64_t control(const char* what, uint32_t code, std::span<const uint8_t> in, std::span<uint8_t> out);

  sim::file file_;
};

}  // namespace sluice
