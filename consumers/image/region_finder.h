// Finds the rings in an image: every page of it that begins with the header of a region (pipeline/region.h) or of a catalog
// (producers/type_catalog.h), sorted by boot. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "consumers/image/image_memory.h"
#include "pipeline/region.h"
#include "producers/type_catalog.h"

namespace sluice::image {

struct found_region {
  uint64_t address;
  region_header header;  // checked: check_header
};

struct found_catalog {
  uint64_t address;
  catalog_header header;  // checked: is_sound
};

// What one load of a driver left.
struct found_boot {
  uint64_t boot = 0;
  std::vector<found_region> regions;  // by (cpu, lane), each once
  std::optional<found_catalog> catalog;
};

struct findings {
  std::vector<found_boot> boots;    // the newest first
  std::vector<std::string> faults;  // headers that do not hold, regions inside others or there twice
  uint64_t bytes_looked_through = 0;
};

// `watch(done, of)`, bytes, now and then; may be empty.
findings find_regions(const image_memory& memory, const std::function<void(uint64_t, uint64_t)>& watch);

}  // namespace sluice::image
