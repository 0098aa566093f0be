// A file that is read from its beginning, also a pipe.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace sluice::os {

class input_file {
 public:
  // `path`: UTF-8.
  explicit input_file(const std::string& path);
  ~input_file();
  input_file(const input_file&) = delete;
  input_file& operator=(const input_file&) = delete;

  int error() const { return error_; }  // an errno: why it could not be opened, or read; 0: nothing is wrong
  // 0: its end, or an error.
  size_t read(std::span<char> buffer);

 private:
  int descriptor_;
  int error_;
};

}  // namespace sluice::os
