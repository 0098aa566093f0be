#include "consumers/recording/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "consumers/write_at.h"

namespace sluice::recording {

posix_output_file::posix_output_file(const std::string& path, bool replace)
    : descriptor_(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | (replace ? O_TRUNC : O_EXCL), 0644)) {
  if (descriptor_ < 0)
    throw std::system_error(errno, std::generic_category(), fmt::format("cannot write to {}", path));
}

posix_output_file::~posix_output_file() {
  ::close(descriptor_);
}

int posix_output_file::reserve(uint64_t size) {
  for (;;) {
    if (::fallocate(descriptor_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(size)) == 0) return 0;
    if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) return errno;
    // A pipe, a file system without it, ...: then the write itself tells.
    if (errno != EINTR) return 0;
  }
}

int posix_output_file::write(uint64_t offset, std::span<const uint8_t> bytes) {
  return write_at(descriptor_, offset, bytes);
}

int posix_output_file::truncate(uint64_t size) {
  return ::ftruncate(descriptor_, static_cast<off_t>(size)) == 0 ? 0 : errno;
}

int posix_output_file::sync() {
  // Not every file can (a device, a pipe): nothing was promised for those.
  return ::fdatasync(descriptor_) == 0 || errno == EINVAL || errno == EROFS ? 0 : errno;
}

}  // namespace sluice::recording
