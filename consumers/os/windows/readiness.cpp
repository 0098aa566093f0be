#include "consumers/os/readiness.h"

#include <windows.h>

#include <system_error>

namespace sluice::os {

// Set by hand: it is ready for everybody who waits, until it is told otherwise.
readiness::readiness() : handle_(::CreateEventW(nullptr, TRUE, FALSE, nullptr)) {
  if (handle_ == nullptr) throw std::system_error(static_cast<int>(::GetLastError()), std::system_category(), "an event to wait for");
}

readiness::~readiness() { ::CloseHandle(handle_); }

void readiness::show(bool ready) {
  if (ready) {
    ::SetEvent(handle_);
  } else {
    ::ResetEvent(handle_);
  }
}

}  // namespace sluice::os
