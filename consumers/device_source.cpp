#include "consumers/device_source.h"

namespace sluice {

device_source::device_source(std::shared_ptr<nt_system> system, std::u16string_view name)
    : driver_source(std::move(system)) {
  const nt_status status = system_->open_device(name, device_);
  if (!succeeded(status)) fail("cannot open the driver's device", status);
}

read_result device_source::read(std::span<uint8_t> buffer, std::chrono::nanoseconds timeout) {
  uint64_t bytes = 0;
  const nt_status status = device_->read(buffer, bytes, timeout);
  // nt::timeout is a success code: it comes first.
  if (status == nt::timeout) return {read_status::timeout, 0};
  if (status == nt::cancelled) return {read_status::cancelled, 0};
  if (!succeeded(status)) fail("reading from the driver", status);
  return {read_status::batch, static_cast<size_t>(bytes)};
}

void device_source::cancel() { device_->cancel(); }

}  // namespace sluice
