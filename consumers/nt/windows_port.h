// A handle to a filter communication port of this machine, by fltlib.dll.
#pragma once

#include <string_view>

#include "consumers/nt/system.h"

namespace sluice {

// STATUS_NOT_SUPPORTED: there is no fltlib.dll, or one that knows no ports.
nt_status connect_windows_port(std::u16string_view name, std::span<const uint8_t> context, std::unique_ptr<nt_port>& connected);

}  // namespace sluice
