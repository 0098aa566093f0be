// The one way to stdout: collects lines and writes them in large pieces, and notices when nobody takes them any more.
//
// After the reader has gone (EPIPE) or a write has failed (disk full), the writer takes everything and keeps nothing:
// the caller looks at status() now and then. SIGPIPE must be ignored by the process. One thread at a time.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice {

enum class output_status { ok, closed, failed };

class output_writer {
 public:
  static constexpr size_t flush_bytes = 64 * 1024;

  // The descriptor stays the caller's.
  explicit output_writer(int descriptor) : descriptor_(descriptor) {}
  ~output_writer() { flush(); }
  output_writer(const output_writer&) = delete;
  output_writer& operator=(const output_writer&) = delete;

  // The buffer to append to. Call line_done() after each line.
  std::string& buffer() { return buffer_; }
  void line_done() {
    if (buffer_.size() >= flush_bytes) flush();
  }
  output_status flush();

  output_status status() const { return status_; }
  int error() const { return error_; }  // errno of the failure

 private:
  int descriptor_;
  std::string buffer_;
  output_status status_ = output_status::ok;
  int error_ = 0;
};

}  // namespace sluice
