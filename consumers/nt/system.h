// The calls that a client makes to the kernel, as a Windows client makes them: one implementation per way to reach one.
//
//   simulated_system   the simulated machine in this process
//   connect_system     the simulated machine in another process (socket_system.h)
//
// Statuses are NTSTATUS, as the kernel gave them; what a call cannot reach any more is STATUS_PORT_DISCONNECTED for ports
// and STATUS_DEVICE_REMOVED for devices. A handle is one owner's: calls from several threads at a time are allowed, but for
// the destructor.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "consumers/nt/status.h"

namespace sluice {

using nt_timeout = std::optional<std::chrono::nanoseconds>;  // none: for ever

// A handle to a device: CreateFile. Destroyed: CloseHandle.
class nt_device {
 public:
  virtual ~nt_device() = default;
  // ReadFile. STATUS_TIMEOUT: nothing came in time; the request was taken back and nothing is lost. STATUS_CANCELLED: cancel().
  virtual nt_status read(std::span<uint8_t> buffer, uint64_t& bytes, nt_timeout timeout) = 0;
  // DeviceIoControl; it may pend as read does.
  virtual nt_status control(uint32_t code, std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes,
                            nt_timeout timeout) = 0;
  // CancelIoEx: every pending request of this handle.
  virtual void cancel() = 0;
};

// A handle to a communication port: FilterConnectCommunicationPort. Destroyed: CloseHandle.
class nt_port {
 public:
  virtual ~nt_port() = default;
  // FilterGetMessage: FILTER_MESSAGE_HEADER and the content. STATUS_TIMEOUT and STATUS_CANCELLED as nt_device::read.
  // STATUS_BUFFER_TOO_SMALL: a longer message came, and its sender knows.
  virtual nt_status get_message(std::span<uint8_t> buffer, uint64_t& bytes, nt_timeout timeout) = 0;
  // FilterReplyMessage: FILTER_REPLY_HEADER and the content.
  virtual nt_status reply(std::span<const uint8_t> reply) = 0;
  // FilterSendMessage.
  virtual nt_status send(std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes) = 0;
  // CancelIoEx: every pending get_message of this handle.
  virtual void cancel() = 0;
};

class nt_system {
 public:
  virtual ~nt_system() = default;
  // `name`: of the DOS device, "Sluice". Whoever calls is the process that opens.
  [[nodiscard]] virtual nt_status open_device(std::u16string_view name, std::unique_ptr<nt_device>& opened) = 0;
  // `name`: "\SluicePort". `context`: at most 65535 bytes.
  [[nodiscard]] virtual nt_status connect_port(std::u16string_view name, std::span<const uint8_t> context,
                                               std::unique_ptr<nt_port>& connected) = 0;
  // QueryPerformanceCounter: what stamps the records. Any thread.
  virtual uint64_t counter() = 0;
};

}  // namespace sluice
