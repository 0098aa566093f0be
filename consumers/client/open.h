// A source of the transport that a client asks for.
#pragma once

#include <memory>

#include "consumers/client/options.h"
#include "consumers/event_source.h"

namespace sluice {

struct opened_source {
  std::shared_ptr<event_source> source;
  transport by;  // not automatic
  protocol::capabilities about;
  std::vector<uint8_t> own_types;
};

// The system that the options name. It stays the same when its host comes and goes. Throws source_error.
std::shared_ptr<nt_system> reach_system(const client_options& what);
// `what.system` is there. Throws source_error: nt_error where the kernel gave a status.
opened_source open_source(const client_options& what);

}  // namespace sluice
