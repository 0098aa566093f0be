// What the live source throws: a sentence for the user, which says what failed, where, and what to do about it.
#pragma once

#include <stdexcept>
#include <string>

namespace sluice::live {

enum class live_error_kind {
  no_permission,  // the kernel refuses; the text names what to set
  unsupported,    // this kernel has no such events
  malformed,      // a perf ring holds what is no record
  system,         // a system call failed for another reason
  wrong_option,
};

class live_error : public std::runtime_error {
 public:
  live_error(live_error_kind kind, const std::string& what) : std::runtime_error(what), kind_(kind) {}
  live_error_kind kind() const { return kind_; }

 private:
  live_error_kind kind_;
};

}  // namespace sluice::live
