#include "consumers/os/input_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace sluice::os {

input_file::input_file(const std::string& path)
    : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), error_(descriptor_ < 0 ? errno : 0) {}

input_file::~input_file() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

size_t input_file::read(std::span<char> buffer) {
  for (;;) {
    const ssize_t n = ::read(descriptor_, buffer.data(), buffer.size());
    if (n >= 0) return static_cast<size_t>(n);
    if (errno == EINTR) continue;
    error_ = errno;
    return 0;
  }
}

}  // namespace sluice::os
