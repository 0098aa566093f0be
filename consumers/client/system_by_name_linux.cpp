#include "consumers/client/system_by_name.h"
#include "consumers/nt/socket_system.h"

namespace sluice {

std::shared_ptr<nt_system> system_by_name(const std::string& name) { return connect_system(name); }

}  // namespace sluice
