// An image file as memory: bytes at addresses, some of which the file does not have.
//
//   a raw image   any file: address = offset in the file. A saved region, or memory dumped as it was.
//   a core file   ELF, 64-bit, little-endian: the addresses of the process that died. Of a loadable segment the file may
//                 hold less than the memory had, or nothing; a core file may be cut.
//
// The file is hostile: every number is checked before it is used, and it is read with pread, never mapped, so that a file
// that shrinks meanwhile costs bytes and no signal. Any thread; throws image_error where a file cannot be read at all.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "consumers/event_source.h"

namespace sluice::image {

class image_error : public source_error {
 public:
  using source_error::source_error;
};

struct byte_range {
  uint64_t begin, end;
};

enum class image_kind { raw, core };

class image_memory {
 public:
  // A piece of memory that the file has.
  struct segment {
    uint64_t address;
    uint64_t offset;  // in the file
    uint64_t bytes;
  };

  // Throws image_error, as reading does where the file cannot be read: that is no damage.
  explicit image_memory(const std::string& path);
  ~image_memory();
  image_memory(const image_memory&) = delete;
  image_memory& operator=(const image_memory&) = delete;

  image_kind kind() const { return kind_; }
  uint64_t file_bytes() const { return file_bytes_; }
  // By rising address; they do not overlap.
  std::span<const segment> segments() const { return segments_; }
  // Reads what there is of the memory at `address`. What is missing becomes zero; or stays as it is and is appended to `missing`
  // (addresses, in order).
  void read(uint64_t address, std::span<uint8_t> to) const;
  void read(uint64_t address, std::span<uint8_t> to, std::vector<byte_range>& missing) const;
  // The first address from `address` on, within the piece, that the file does not leave as a hole; the piece's end if there is
  // none. Holes are zeros: cores of large address spaces consist of them.
  uint64_t skip_hole(const segment& piece, uint64_t address) const;
  // What is wrong with the file itself: cut, segments that contradict each other.
  const std::vector<std::string>& faults() const { return faults_; }
  // What this file looks like if no rings are found in it: "compressed (zstd)", or empty.
  std::string guess() const;

 private:
  void read_core();
  size_t read_file(uint64_t offset, std::span<uint8_t> to) const;

  const std::string path_;
  int descriptor_;
  image_kind kind_ = image_kind::raw;
  uint64_t file_bytes_ = 0;
  std::vector<segment> segments_;
  std::vector<std::string> faults_;
};

}  // namespace sluice::image
