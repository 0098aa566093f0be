// The source that is a client of the driver's filter communication port (docs/port.md), one of up to 32: it says which types it
// wants, has a queue in the driver, and is told what it alone has missed (loss_event::by_client).
#pragma once

#include <string>

#include "consumers/driver_source.h"

namespace sluice {

class port_source : public driver_source {
 public:
  struct wishes {
    uint64_t types = ~uint64_t{0};     // bit n: type n; what describes the stream comes always
    bool without_own_process = false;  // events that happen in this process are left out
    std::string name = "sluice";       // for the driver's statistics: up to 32 characters of printable ASCII
  };

  // Throws source_error: also if the driver does not speak this version, or has clients enough.
  port_source(std::shared_ptr<nt_system> system, const wishes& what);

  // Throws source_error once the driver has gone.
  read_result read(std::span<uint8_t> buffer, std::chrono::nanoseconds timeout) override;
  void cancel() override;

  void set_own_types(uint64_t types) override;
  protocol::client_row own_row() override;
  // A filter of this client's own: decides about what the merge hands out after the answer (docs/port.md). answer.error says whether
  // it was taken.
  filter_answer set_own_filter(std::span<const uint8_t> message) override;
  void clear_own_filter() override;

  // All clients, as the driver sees them.
  std::vector<protocol::client_row> clients();

 private:
  nt_status request(uint32_t code, std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes) override;

  std::unique_ptr<nt_port> port_;
  std::vector<uint8_t> message_;  // header and batch of the read
};

}  // namespace sluice
