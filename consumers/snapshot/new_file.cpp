#include "consumers/snapshot/new_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "consumers/write_at.h"

namespace sluice {
namespace {

constexpr int most_numbers = 1'000'000;

}  // namespace

new_file::new_file(const std::string& path) : path_(path), temporary_(path + ".XXXXXX") {
  descriptor_ = ::mkostemp(temporary_.data(), O_CLOEXEC);
  if (descriptor_ < 0) fail();
}

new_file::~new_file() {
  ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void new_file::fail() const { throw std::system_error(errno, std::generic_category(), path_); }

void new_file::write(uint64_t offset, std::span<const uint8_t> bytes) {
  errno = write_at(descriptor_, offset, bytes);
  if (errno != 0) fail();
}

void new_file::resize(uint64_t bytes) {
  if (::ftruncate(descriptor_, static_cast<off_t>(bytes)) != 0) fail();
}

std::string new_file::finish() {
  if (::fchmod(descriptor_, 0600) != 0 || ::fdatasync(descriptor_) != 0) fail();
  for (int number = 1; number < most_numbers; ++number) {
    const std::string name = number == 1 ? path_ : fmt::format("{}.{}", path_, number);
    if (!rename_to(name)) continue;
    temporary_.clear();
    return name;
  }
  errno = EEXIST;
  fail();
}

// False: there is such a file.
bool new_file::rename_to(const std::string& name) const {
  if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, name.c_str(), RENAME_NOREPLACE) == 0) return true;
  if (errno == EEXIST) return false;
  if (errno != EINVAL && errno != ENOSYS) fail();
  // A file system that cannot rename like that.
  if (::link(temporary_.c_str(), name.c_str()) != 0) {
    if (errno == EEXIST) return false;
    fail();
  }
  ::unlink(temporary_.c_str());
  return true;
}

}  // namespace sluice
