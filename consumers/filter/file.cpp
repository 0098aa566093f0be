#include "consumers/filter/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "consumers/filter/text.h"

namespace sluice::filter {
namespace {

class descriptor {
 public:
  explicit descriptor(const std::string& path) : number_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

}  // namespace

std::optional<std::string> read_file(const std::string& path, diagnostics& found) {
  const auto unreadable = [&](int error) -> std::optional<std::string> {
    found.error({}, fmt::format("cannot be read: {}", std::strerror(error)));
    return std::nullopt;
  };
  if (path.find('\0') != std::string::npos) return unreadable(ENOENT);
  const descriptor file(path);
  if (file.number() < 0) return unreadable(errno);
  std::string text;
  size_t length = 0;
  for (;;) {
    text.resize(length + 64 * 1024);
    const ssize_t n = ::read(file.number(), text.data() + length, text.size() - length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return unreadable(errno);
    if (n == 0) break;
    length += static_cast<size_t>(n);
    if (length > most_file_bytes) {
      found.error({}, fmt::format("is too large: a filter file has {} bytes at most", most_file_bytes));
      return std::nullopt;
    }
  }
  text.resize(length);
  if (const std::optional<position> wrong = invalid_utf8(text)) {
    found.error(*wrong, "this is not UTF-8, which TOML is written in");
    return std::nullopt;
  }
  return text;
}

}  // namespace sluice::filter
