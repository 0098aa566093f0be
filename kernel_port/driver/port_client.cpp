#include "kernel_port/driver/port_client.h"

namespace sluice {
namespace {

constexpr int64_t send_timeout = -10000000;  // 1 s: how long a client may take before the thread looks around
constexpr int64_t retry_pause = -100000;     // 10 ms, after a send that failed

}  // namespace

NTSTATUS port_client::start(const kernel_functions& functions, PFLT_PORT port, const client_stream::wishes& what,
                            uint64_t boot, uint64_t frequency) {
  PAGED_CODE();
  port_ = port;
  KeInitializeEvent(&ready_, SynchronizationEvent, FALSE);
  if (!stream_.create(functions, what, boot, frequency, &ready_)) return STATUS_INSUFFICIENT_RESOURCES;
  const NTSTATUS status = thread_.start(&run, this);
  if (!NT_SUCCESS(status)) return status;
  if (clients_.add(stream_)) return STATUS_SUCCESS;
  end_thread();
  return STATUS_CONNECTION_COUNT_LIMIT;
}

void port_client::stop() {
  PAGED_CODE();
  InterlockedExchange(&stopping_, 1);
  FltCloseClientPort(filter_, &port_);
  end_thread();
  clients_.remove(stream_);
  client_filter::destroy(stream_.set_filter(nullptr));
}

void port_client::end_thread() {
  InterlockedExchange(&stopping_, 1);
  KeSetEvent(&ready_, IO_NO_INCREMENT, FALSE);
  thread_.join();
}

VOID NTAPI port_client::run(PVOID context) {
  static_cast<port_client*>(context)->loop();
  PsTerminateSystemThread(STATUS_SUCCESS);
}

void port_client::loop() {
  PAGED_CODE();
  for (;;) {
    KeWaitForSingleObject(&ready_, Executive, KernelMode, FALSE, nullptr);
    for (;;) {
      if (InterlockedCompareExchange(&stopping_, 0, 0) != 0) return;
      const client_stream::batch batch = clients_.take(stream_);
      if (batch.bytes == nullptr) break;
      const bool delivered = send(batch);
      clients_.given_back(stream_, delivered);
      if (!delivered) return;
    }
  }
}

// False: the client has gone, or is to go.
bool port_client::send(const client_stream::batch& batch) {
  while (InterlockedCompareExchange(&stopping_, 0, 0) == 0) {
    LARGE_INTEGER timeout;
    timeout.QuadPart = send_timeout;
    const NTSTATUS status = FltSendMessage(filter_, &port_, const_cast<uint8_t*>(batch.bytes), batch.length, nullptr,
                                           nullptr, &timeout);
    if (status == STATUS_SUCCESS) return true;
    if (status == STATUS_TIMEOUT) continue;  // a success code
    if (status == STATUS_PORT_DISCONNECTED) return false;
    clients_.count_failed_send(stream_);
    timeout.QuadPart = retry_pause;
    KeDelayExecutionThread(KernelMode, FALSE, &timeout);
  }
  return false;
}

}  // namespace sluice
