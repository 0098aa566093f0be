// A simulated machine in another process (`sluice simulate NAME`), as this process of Linux calls it: its pid and its user are what
// the kernel there sees. Nothing of the simulated kernel is linked.
#pragma once

#include <memory>
#include <string_view>

#include "consumers/nt/system.h"

namespace sluice {

// `name`: consumers/nt/socket_name.h. Throws source_error if nobody serves there, or this user is not let in: it says which.
// Handles outlive what else happens to the host: once it has gone, what had come from it is still read, then calls fail with
// STATUS_DEVICE_REMOVED and STATUS_PORT_DISCONNECTED, and new ones with STATUS_OBJECT_NAME_NOT_FOUND until somebody serves again.
std::shared_ptr<nt_system> connect_system(std::string_view name);

}  // namespace sluice
