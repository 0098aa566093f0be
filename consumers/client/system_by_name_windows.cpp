#include <fmt/format.h>

#include "consumers/client/system_by_name.h"
#include "consumers/event_source.h"
#include "consumers/nt/windows_system.h"

namespace sluice {

std::shared_ptr<nt_system> system_by_name(const std::string& name) {
  if (name.empty() || name == "localhost") return windows_system();
  throw source_error(fmt::format("'{}' is not a kernel that can be reached: on Windows it is this machine's, \"\" or \"localhost\"", name));
}

}  // namespace sluice
