#include "consumers/nt/windows_status.h"

#include <windows.h>

#include <utility>

namespace sluice {
namespace {

constexpr nt_status unsuccessful = static_cast<nt_status>(0xc0000001);

// What RtlNtStatusToDosError makes of the statuses that a client tells apart.
constexpr std::pair<uint32_t, nt_status> statuses[] = {
    {ERROR_SUCCESS, nt::success},
    {ERROR_INVALID_FUNCTION, nt::invalid_device_request},
    {ERROR_FILE_NOT_FOUND, nt::object_name_not_found},
    {ERROR_PATH_NOT_FOUND, nt::object_name_not_found},
    {ERROR_ACCESS_DENIED, nt::access_denied},
    {ERROR_INVALID_HANDLE, nt::invalid_handle},
    {ERROR_SHARING_VIOLATION, nt::sharing_violation},
    {ERROR_NOT_SUPPORTED, nt::not_supported},
    {ERROR_INVALID_PARAMETER, nt::invalid_parameter},
    {ERROR_INSUFFICIENT_BUFFER, nt::buffer_too_small},
    {ERROR_SEM_TIMEOUT, nt::timeout},
    {ERROR_MORE_DATA, nt::buffer_overflow},
    {ERROR_OPERATION_ABORTED, nt::cancelled},
    {ERROR_IO_PENDING, nt::pending},
    {ERROR_NOT_FOUND, nt::not_found},
    {ERROR_CONNECTION_COUNT_LIMIT, nt::connection_count_limit},
    {ERROR_REVISION_MISMATCH, nt::revision_mismatch},
    {ERROR_NO_SYSTEM_RESOURCES, nt::insufficient_resources},
    {ERROR_NOT_ENOUGH_MEMORY, nt::insufficient_resources},
    {ERROR_DEVICE_REMOVED, nt::device_removed},
};

}  // namespace

nt_status status_of_hresult(int32_t result, bool port) {
  constexpr uint32_t facility_filter_manager = 0x1f;  // of user mode; its statuses have 0x1c
  constexpr uint32_t nt_bit = 0x10000000;              // HRESULT_FROM_NT
  const auto bits = static_cast<uint32_t>(result);
  if (result >= 0) return nt::success;
  if ((bits & nt_bit) != 0) return static_cast<nt_status>(bits & ~nt_bit);
  if (result == E_NOTIMPL) return nt::not_supported;
  if (result == E_OUTOFMEMORY) return nt::insufficient_resources;
  const uint32_t facility = bits >> 16 & 0x1fff;
  const uint32_t code = bits & 0xffff;
  if (facility == facility_filter_manager) return static_cast<nt_status>(0xc01c0000 | code);
  if (facility != FACILITY_WIN32) return unsuccessful;
  if (port && code == ERROR_INVALID_HANDLE) return nt::port_disconnected;
  for (const auto& [error, status] : statuses) {
    if (error == code) return status;
  }
  return unsuccessful;
}

}  // namespace sluice
