#include <windows.h>

#include "tests/conformance/ready.h"

namespace sluice::test {

bool is_ready(wait_handle what, std::chrono::milliseconds timeout) {
  return ::WaitForSingleObject(what, static_cast<DWORD>(timeout.count())) == WAIT_OBJECT_0;
}

}  // namespace sluice::test
