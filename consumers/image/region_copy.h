// A region's bytes out of an image, copied piece by piece where they stood in memory, and which of them the image lacks. What
// is not copied, or not there, is zero and costs nothing. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "consumers/image/image_memory.h"

namespace sluice::image {

class region_copy {
 public:
  // Of the region at `address`. Throws image_error: there is no memory for it.
  region_copy(const image_memory& from, uint64_t address, uint64_t bytes);

  // Copies these bytes of the region (offsets).
  void take(uint64_t begin, uint64_t end);
  uint8_t* bytes() const { return static_cast<uint8_t*>(memory_.get()); }

  // Of what was taken: whether the image lacks any of these bytes.
  bool lacks(uint64_t begin, uint64_t end) const;
  // The bytes around this one that the image lacks; null: it has it.
  const byte_range* missing_at(uint64_t offset) const;

 private:
  struct unmap {
    size_t bytes;
    void operator()(void* memory) const;
  };
  const image_memory* from_;
  uint64_t address_;
  std::unique_ptr<void, unmap> memory_;
  std::vector<byte_range> missing_;  // offsets, by rising begin
};

}  // namespace sluice::image
