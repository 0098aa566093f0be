// The source that reads the driver's device (kernel_port/driver/protocol.h): IRP_MJ_READ pends in the driver until a batch
// is final; everything else is a device control. The device is one of the simulated machine's.
#pragma once

#include <string_view>

#include "consumers/driver_source.h"

namespace sluice {

class device_source : public driver_source {
 public:
  // Opens the device as process `pid`. Throws source_error.
  device_source(sim::machine& machine, uint32_t pid, std::u16string_view name = u"Sluice");

  read_result read(std::span<uint8_t> buffer, std::chrono::nanoseconds timeout) override;
  void cancel() override;

  void close();

 private:
  NTSTATUS request(uint32_t code, std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes) override {
    return file_.control(code, in, out, bytes);
  }

  sim::file file_;
};

}  // namespace sluice
