// Lines of a file, gzip or plain, one after another: a recording may be larger than memory. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::replay {

class line_reader {
 public:
  static constexpr size_t longest_line = 1u << 20;
  // Behind every line there are that many bytes of memory that may be read (simdjson wants them).
  static constexpr size_t padding = 64;

  // Throws std::system_error. A pipe cannot be replayed: it is read more than once.
  explicit line_reader(const std::string& path);
  ~line_reader();
  line_reader(const line_reader&) = delete;
  line_reader& operator=(const line_reader&) = delete;

  // The next line, without its end; false: there is none, or fault() says why.
  bool next(std::string_view& line);
  uint64_t line_number() const { return line_number_; }
  // The file cannot be read on: what is wrong, and where. Empty: it can, or was read to its end.
  const std::string& fault() const { return fault_; }
  // A line that was too long was passed over just before this one.
  bool skipped_long_line() { return std::exchange(skipped_long_line_, false); }

  uint64_t file_bytes() const { return file_bytes_; }
  uint64_t bytes_read() const { return bytes_read_; }

 private:
  struct inflater;
  bool fill();
  bool read_file();

  int descriptor_ = -1;
  std::unique_ptr<inflater> inflater_;  // null: plain
  std::vector<uint8_t> input_;
  size_t input_begin_ = 0, input_end_ = 0;
  std::string text_;      // not given out yet, from begin_ on
  size_t begin_ = 0;
  uint64_t line_number_ = 0;
  uint64_t file_bytes_ = 0, bytes_read_ = 0;
  bool ended_ = false;
  bool skipping_ = false;
  bool skipped_long_line_ = false;
  std::string fault_;
};

}  // namespace sluice::replay
