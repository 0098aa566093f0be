// Something to wait for that is ready or not, until it is told otherwise. show is one caller's at a time.
#pragma once

#include "consumers/os/wait_handle.h"

namespace sluice::os {

class readiness {
 public:
  // Not ready. Throws std::system_error: the system has no room for it.
  readiness();
  ~readiness();
  readiness(const readiness&) = delete;
  readiness& operator=(const readiness&) = delete;

  wait_handle handle() const { return handle_; }
  void show(bool ready);

 private:
  wait_handle handle_;
};

}  // namespace sluice::os
