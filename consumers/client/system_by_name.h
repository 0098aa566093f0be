// The kernels that a client can name: one implementation for each system that it runs on.
//
//   Linux     a simulated machine in another process, by the name that it is served under (nt/socket_system.h)
//   Windows   this machine's own: "" or "localhost"
#pragma once

#include <memory>
#include <string>

#include "consumers/nt/system.h"

namespace sluice {

// Throws source_error: there is none of that name, or this user is not let in.
std::shared_ptr<nt_system> system_by_name(const std::string& name);

}  // namespace sluice
