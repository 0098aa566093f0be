// The statuses of the kernel that a client tells apart. Values: [MS-ERREF] 2.3.1.
#pragma once

#include <cstdint>

namespace sluice {

using nt_status = int32_t;  // NTSTATUS

constexpr bool succeeded(nt_status status) { return status >= 0; }

namespace nt {
inline constexpr nt_status success = 0;
inline constexpr nt_status timeout = 0x102;  // a success code
inline constexpr nt_status pending = 0x103;
inline constexpr nt_status buffer_overflow = static_cast<nt_status>(0x80000005);
inline constexpr nt_status invalid_handle = static_cast<nt_status>(0xc0000008);
inline constexpr nt_status invalid_parameter = static_cast<nt_status>(0xc000000d);
inline constexpr nt_status invalid_device_request = static_cast<nt_status>(0xc0000010);
inline constexpr nt_status access_denied = static_cast<nt_status>(0xc0000022);
inline constexpr nt_status buffer_too_small = static_cast<nt_status>(0xc0000023);
inline constexpr nt_status object_name_invalid = static_cast<nt_status>(0xc0000033);
inline constexpr nt_status object_name_not_found = static_cast<nt_status>(0xc0000034);
inline constexpr nt_status port_disconnected = static_cast<nt_status>(0xc0000037);
inline constexpr nt_status sharing_violation = static_cast<nt_status>(0xc0000043);
inline constexpr nt_status revision_mismatch = static_cast<nt_status>(0xc0000059);
inline constexpr nt_status insufficient_resources = static_cast<nt_status>(0xc000009a);
inline constexpr nt_status not_supported = static_cast<nt_status>(0xc00000bb);
inline constexpr nt_status cancelled = static_cast<nt_status>(0xc0000120);
inline constexpr nt_status not_found = static_cast<nt_status>(0xc0000225);
inline constexpr nt_status connection_count_limit = static_cast<nt_status>(0xc0000246);
inline constexpr nt_status device_removed = static_cast<nt_status>(0xc00002b6);
}  // namespace nt

}  // namespace sluice
