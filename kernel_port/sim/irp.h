// Requests: an IRP with one stack location, from the call that makes it to the call that completes it.
#pragma once

#include <memory>
#include <vector>

#include "kernel_port/sim/dispatcher.h"

namespace sluice::sim {

// The requester holds it, and whoever cancels; the driver holds `irp` until it completes it.
struct io_request {
  IRP irp{};
  IO_STACK_LOCATION stack{};
  MDL mdl{};
  KEVENT done{};
  std::unique_ptr<unsigned char[]> system_buffer;
  size_t output_limit = 0;  // bytes of the system buffer that go back

  // Of a request that nobody waits for: called when it was completed, as the last thing that the completer does with it.
  void (*finished)(io_request& request) = nullptr;
  void* requester = nullptr;
  completion_port* to = nullptr;
  uint64_t key = 0;
};

// Makes a request that IofCompleteRequest knows; when the last owner goes, its memory is kept a while,
// poisoned, so that a second completion or a late touch is seen.
std::shared_ptr<io_request> make_request(PFILE_OBJECT file, uint8_t major_function);

// The machine's end: frees what was kept.
void forget_requests();

NTSTATUS invalid_device_request(PDEVICE_OBJECT device, PIRP irp);

// Calls the driver's dispatch routine and checks what it returns. The request may be pending afterwards.
void dispatch(io_request& request);
bool is_complete(io_request& request);

}  // namespace sluice::sim
