#include "consumers/os/input_file.h"

#include <fcntl.h>
#include <io.h>
#include <windows.h>

#include <algorithm>
#include <cerrno>

#include "consumers/os/windows/wide.h"

namespace sluice::os {
namespace {

// The C run-time library says EACCES of a directory.
bool is_directory(const std::wstring& path) {
  const DWORD attributes = ::GetFileAttributesW(path.c_str());
  return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

}  // namespace

input_file::input_file(const std::string& path) : descriptor_(-1), error_(0) {
  const std::wstring wide = to_wide(path);
  descriptor_ = ::_wopen(wide.c_str(), _O_RDONLY | _O_BINARY | _O_NOINHERIT);
  if (descriptor_ < 0) error_ = is_directory(wide) ? EISDIR : errno;
}

input_file::~input_file() {
  if (descriptor_ >= 0) ::_close(descriptor_);
}

size_t input_file::read(std::span<char> buffer) {
  constexpr size_t most = 1u << 20;
  const int n = ::_read(descriptor_, buffer.data(), static_cast<unsigned>(std::min(buffer.size(), most)));
  if (n >= 0) return static_cast<size_t>(n);
  error_ = errno;
  return 0;
}

}  // namespace sluice::os
