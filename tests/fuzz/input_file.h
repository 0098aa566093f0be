// The input of a fuzz target as a file that exists in memory only: what is fuzzed takes a path.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

namespace sluice::fuzz {

class input_file {
 public:
  explicit input_file(std::span<const uint8_t> content) : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    if (descriptor_ < 0) std::abort();
    while (!content.empty()) {
      const ssize_t n = ::write(descriptor_, content.data(), content.size());
      if (n <= 0) std::abort();
      content = content.subspan(static_cast<size_t>(n));
    }
  }
  ~input_file() { ::close(descriptor_); }
  input_file(const input_file&) = delete;
  input_file& operator=(const input_file&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

}  // namespace sluice::fuzz
