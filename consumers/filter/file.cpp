#include "consumers/filter/file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "consumers/filter/text.h"
#include "consumers/os/input_file.h"

namespace sluice::filter {

std::optional<std::string> read_file(const std::string& path, diagnostics& found) {
  const auto unreadable = [&](int error) -> std::optional<std::string> {
    found.error({}, fmt::format("cannot be read: {}", std::strerror(error)));
    return std::nullopt;
  };
  if (path.find('\0') != std::string::npos) return unreadable(ENOENT);
  os::input_file file(path);
  if (file.error() != 0) return unreadable(file.error());
  std::string text;
  size_t length = 0;
  for (;;) {
    text.resize(length + 64 * 1024);
    const size_t n = file.read(std::span(text).subspan(length));
    if (file.error() != 0) return unreadable(file.error());
    if (n == 0) break;
    length += n;
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
