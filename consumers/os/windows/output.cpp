#include "consumers/os/output.h"

#include <io.h>
#include <windows.h>

#include <algorithm>
#include <cerrno>

namespace sluice::os {
namespace {

HANDLE handle_of(int descriptor) { return reinterpret_cast<HANDLE>(::_get_osfhandle(descriptor)); }

}  // namespace

// Past the C run-time library, which would write CR LF for LF.
int write_all(int descriptor, std::string_view bytes) {
  constexpr size_t most = 1u << 20;
  const HANDLE handle = handle_of(descriptor);
  if (handle == INVALID_HANDLE_VALUE) return EBADF;
  while (!bytes.empty()) {
    DWORD written = 0;
    if (!::WriteFile(handle, bytes.data(), static_cast<DWORD>(std::min(bytes.size(), most)), &written, nullptr)) {
      switch (::GetLastError()) {
        case ERROR_NO_DATA:
        case ERROR_BROKEN_PIPE: return EPIPE;
        case ERROR_DISK_FULL: return ENOSPC;
        case ERROR_INVALID_HANDLE: return EBADF;
        default: return EIO;
      }
    }
    bytes.remove_prefix(written);
  }
  return 0;
}

bool is_terminal(int descriptor) {
  DWORD mode = 0;
  return ::GetConsoleMode(handle_of(descriptor), &mode) != 0;
}

bool takes_colours(int descriptor) {
  DWORD mode = 0;
  const HANDLE handle = handle_of(descriptor);
  return ::GetConsoleMode(handle, &mode) != 0 && ::SetConsoleMode(handle, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING) != 0;
}

}  // namespace sluice::os
