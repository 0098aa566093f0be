// What a client wants, and from where.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "consumers/nt/system.h"

namespace sluice {

// How the stream comes. The same records, in the same order, whichever it is (docs/client.md).
enum class transport {
  automatic,  // the port; where there is none, pended requests. Never the mapping: it shuts out every other client
  port,       // the filter communication port: up to 32 clients, each with a choice of types and an account of its own
  ioctl,      // pended read requests of the device: one client at a time
  mapping,    // the rings themselves, shared: the fastest; one client, and nobody else beside it
};

// "automatic", "port", "ioctl", "mapping".
constexpr std::string_view name_of(transport way) {
  switch (way) {
    case transport::automatic: return "automatic";
    case transport::port: return "port";
    case transport::ioctl: return "ioctl";
    case transport::mapping: return "mapping";
  }
  return "unknown";
}

struct client_options {
  // Which kernel: by its name, or one that is at hand; then the name is not looked at.
  std::string name;
  std::shared_ptr<nt_system> system;

  transport by = transport::automatic;
  uint64_t types = ~uint64_t{0};     // bit n: type n (producers/events.h); what describes the stream comes always
  bool without_own_process = false;  // events that happen in this process are left out: the port only
  std::string client_name = "sluice";  // for the driver's statistics: up to 32 characters of printable ASCII

  // If the connection is lost: true: it is made again, ever more rarely tried (20 ms to 2 s), and the reader is told that it was
  // interrupted. False: the call in hand throws source_error.
  bool reconnects = false;
};

// None: for ever.
using client_timeout = nt_timeout;

}  // namespace sluice
