// A handle to a device of this machine.
#pragma once

#include <string_view>

#include "consumers/nt/system.h"

namespace sluice {

nt_status open_windows_device(std::u16string_view name, std::unique_ptr<nt_device>& opened);

}  // namespace sluice
