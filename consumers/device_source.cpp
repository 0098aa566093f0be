#include "consumers/device_source.h"

namespace sluice {

device_source::device_source(sim::machine& machine, uint32_t pid, std::u16string_view name) {
  const NTSTATUS status = file_.open(machine, name, pid);
  if (!NT_SUCCESS(status)) fail("cannot open the driver's device", status);
}

read_result device_source::read(std::span<uint8_t> buffer, std::chrono::nanoseconds timeout) {
  uint64_t bytes = 0;
  const NTSTATUS status = file_.read(buffer, bytes, timeout);
  // STATUS_TIMEOUT is a success code: it comes first.
  if (status == STATUS_TIMEOUT) return {read_status::timeout, 0};
  if (status == STATUS_CANCELLED) return {read_status::cancelled, 0};
  if (!NT_SUCCESS(status)) fail("reading from the driver", status);
  return {read_status::batch, static_cast<size_t>(bytes)};
}

void device_source::cancel() { file_.cancel(); }
void device_source::close() { file_.close(); }

}  // namespace sluice
