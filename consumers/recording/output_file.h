// The file that a recording is written to: grows at its end, and can ask for room ahead of what it writes.
// One thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace sluice::recording {

// Results are 0 or an errno.
class output_file {
 public:
  virtual ~output_file() = default;
  // Room for bytes [0, size) of the file. ENOSPC: there is none. A file system that cannot promise room says
  // 0.
  [[nodiscard]] virtual int reserve(uint64_t size) = 0;
  // All of `bytes` at `offset`, or an error; some of them may stand in the file then.
  [[nodiscard]] virtual int write(uint64_t offset, std::span<const uint8_t> bytes) = 0;
  // The file ends here; gives back what was reserved behind it.
  [[nodiscard]] virtual int truncate(uint64_t size) = 0;
  // What was written is on the disk.
  [[nodiscard]] virtual int sync() = 0;
};

class posix_output_file : public output_file {
 public:
  // Creates the file; replaces one that is there only if `replace`. Throws std::system_error.
  posix_output_file(const std::string& path, bool replace);
  ~posix_output_file() override;
  posix_output_file(const posix_output_file&) = delete;
  posix_output_file& operator=(const posix_output_file&) = delete;

  int reserve(uint64_t size) override;
  int write(uint64_t offset, std::span<const uint8_t> bytes) override;
  int truncate(uint64_t size) override;
  int sync() override;

 private:
  int descriptor_;
};

}  // namespace sluice::recording
