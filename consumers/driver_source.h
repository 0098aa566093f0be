// What the sources that reach a driver have in common: its control requests (kernel_port/driver/protocol.h), which are the same
// through the device and through the port.
#pragma once

#include <memory>

#include "consumers/event_source.h"
#include "consumers/nt/system.h"

namespace sluice {

class driver_source : public event_source {
 public:
  explicit driver_source(std::shared_ptr<nt_system> system) : system_(std::move(system)) {}

  size_t least_buffer() const override { return protocol::min_read_bytes; }
  protocol::capabilities capabilities() override;
  driver_statistics statistics() override;
  std::vector<uint8_t> types() override;
  void set_types(uint64_t types) override;
  filter_answer set_filter(std::span<const uint8_t> message) override;
  filter_answer clear_filter() override;
  std::vector<uint8_t> filter(filter_state& state) override;
  size_t copy_ring(const protocol::ring_copy_request& what, std::span<uint8_t> answer) override;
  void flush() override;
  uint64_t now() override { return system_->counter(); }

 protected:
  // One request and its answer. From any thread.
  virtual nt_status request(uint32_t code, std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes) = 0;
  // One of the requests that are answered with a filter_answer. Throws source_error.
  filter_answer send_filter(const char* what, uint32_t code, std::span<const uint8_t> message);
  // As an nt_error.
  [[noreturn]] static void fail(const char* what, nt_status status);

  // The same; returns the bytes of the answer, and throws if there is none.
  uint64_t control(const char* what, uint32_t code, std::span<const uint8_t> in, std::span<uint8_t> out);

  const std::shared_ptr<nt_system> system_;
};

}  // namespace sluice
