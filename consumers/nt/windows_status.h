// The status behind an HRESULT of fltlib, as far as it can still be told. E_FAIL and what is not known: STATUS_UNSUCCESSFUL.
#pragma once

#include <cstdint>

#include "consumers/nt/status.h"

namespace sluice {

// `port`: of a call that has a port's handle, whose ERROR_INVALID_HANDLE means that the other side has gone (the same code stands for
// STATUS_PORT_DISCONNECTED and STATUS_INVALID_HANDLE, and our handles are valid).
nt_status status_of_hresult(int32_t result, bool port);

}  // namespace sluice
