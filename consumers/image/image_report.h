// What an image held: ring by ring, what was complete and what was open, what is damaged and where.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "consumers/image/frozen_ring.h"
#include "consumers/decoder.h"
#include "consumers/stream_clock.h"

namespace sluice::image {

struct image_report {
  std::string path;
  image_kind kind = image_kind::raw;
  uint64_t file_bytes = 0;
  uint64_t boot = 0;                   // the one that is read
  std::vector<uint64_t> other_boots;   // that have rings in this file, too
  uint64_t clock_frequency = 0;
  uint32_t cpu_count = 0;              // of the boot; 0: not known
  uint32_t own_types = 0;
  std::vector<ring_report> rings;      // by (cpu, lane)

  uint64_t newest_time() const;
  uint64_t complete() const;
  uint64_t open() const;
  uint64_t damaged_bytes() const;
};

// For people: a table of the rings that were written to, then each open reservation.
std::vector<std::string> describe(const image_report& report, const decoder& names);
// Each damaged place, and each contradiction, one line.
std::vector<std::string> describe_damage(const ring_report& ring);
// For programs: one JSON object about the image, then one for each ring (docs/image-format.md).
std::vector<std::string> to_json_lines(const image_report& report, const decoder& names, const stream_clock& clock);

}  // namespace sluice::image
