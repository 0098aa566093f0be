// What a thread waits for together with other things: on Linux a descriptor, for poll; on Windows the handle of an event, for
// WaitForMultipleObjects.
#pragma once

namespace sluice {

#ifdef _WIN32
using wait_handle = void*;
#else
using wait_handle = int;
#endif

}  // namespace sluice
