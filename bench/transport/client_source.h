// The client's end of a transport to the process of load_process.h.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "consumers/event_source.h"

namespace sluice::bench {

// `what`: mapping, port or ioctl; `name`: where the host listens. What lay there from before has been read. Throws source_error.
std::unique_ptr<event_source> open_source(const std::string& what, const std::string& name);

inline constexpr size_t client_buffer = 256 * 1024;  // bytes

}  // namespace sluice::bench
