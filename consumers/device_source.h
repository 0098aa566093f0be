// The source that reads the driver's device (kernel_port/driver/protocol.h): IRP_MJ_READ pends in the driver until a batch
// is final; everything else is a device control.
#pragma once

#include <string_view>

#include "consumers/driver_source.h"

namespace sluice {

class device_source : public driver_source {
 public:
  // Throws source_error.
  explicit device_source(std::shared_ptr<nt_system> system, std::u16string_view name = u"Sluice");

  read_result read(std::span<uint8_t> buffer, std::chrono::nanoseconds timeout) override;
  void cancel() override;

 private:
  nt_status request(uint32_t code, std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes) override {
    return device_->control(code, in, out, bytes, {});
  }

  std::unique_ptr<nt_device> device_;
};

}  // namespace sluice
