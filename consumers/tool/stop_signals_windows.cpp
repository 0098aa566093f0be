#include <windows.h>

#include <system_error>

#include "consumers/tool/stop_signals.h"

namespace sluice::tool {

// The system calls the handler in a thread of its own for each event. After a closed console, a log-off or a shutdown the process is
// ended when the handler returns: then it waits for the run to end, as long as the system lets it.
class stop_signals::receiver {
 public:
  explicit receiver(stop_signals& of) {
    {
      const std::lock_guard lock(mutex_);
      of_ = &of;
    }
    if (!::SetConsoleCtrlHandler(&receiver::handle, TRUE)) {
      throw std::system_error(static_cast<int>(::GetLastError()), std::system_category(), "waiting for Ctrl-C");
    }
  }
  ~receiver() {
    ::SetConsoleCtrlHandler(&receiver::handle, FALSE);
    const std::lock_guard lock(mutex_);
    of_ = nullptr;
  }
  receiver(const receiver&) = delete;
  receiver& operator=(const receiver&) = delete;

 private:
  static BOOL WINAPI handle(DWORD event) {
    {
      const std::lock_guard lock(mutex_);
      if (of_ == nullptr || !of_->ask(static_cast<int>(event) + 1)) return FALSE;  // the next handler ends the process
    }
    if (event != CTRL_C_EVENT && event != CTRL_BREAK_EVENT) ::Sleep(INFINITE);
    return TRUE;
  }

  static inline std::mutex mutex_;  // one event at a time, and none of what has gone
  static inline stop_signals* of_ = nullptr;
};

stop_signals::stop_signals() : receiver_(std::make_unique<receiver>(*this)) {}
stop_signals::~stop_signals() = default;

}  // namespace sluice::tool
