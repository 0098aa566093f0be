// A snapshot as an image (docs/image-format.md): the catalog of own types, then the regions of all rings as they stand in
// memory, with nothing in them but what was copied. What was not is a hole.
#pragma once

#include <string>

#include "consumers/snapshot/snapshot.h"

namespace sluice {

class output_place {
 public:
  virtual ~output_place() = default;
  // All of it, or throws.
  virtual void write(uint64_t offset, std::span<const uint8_t> bytes) = 0;
  virtual void resize(uint64_t bytes) = 0;
};

void write_image(const snapshot& taken, output_place& to);

// For people, one line: what was copied and what could not be.
std::string describe(const snapshot& taken);

}  // namespace sluice
