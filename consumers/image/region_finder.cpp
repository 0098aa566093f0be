#include "consumers/image/region_finder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>

namespace sluice::image {
namespace {

constexpr size_t step = 1 << 20;
constexpr size_t most_faults = 20;  // described one by one; a hostile file has as many as it likes

class finder {
 public:
  finder(const image_memory& memory, const std::function<void(uint64_t, uint64_t)>& watch)
      : memory_(memory), watch_(watch) {}

  findings find() {
    uint64_t all = 0;
    for (const image_memory::segment& piece : memory_.segments()) all += piece.bytes;
    std::vector<uint8_t> buffer(step);
    for (const image_memory::segment& piece : memory_.segments()) {
      uint64_t address = round_up(piece.address);
      const uint64_t end = piece.address + piece.bytes;
      while (address < end) {
        address = round_up(memory_.skip_hole(piece, address) / region_page * region_page);
        if (address >= end) break;
        const size_t n = static_cast<size_t>(std::min<uint64_t>(step, end - address));
        memory_.read(address, std::span(buffer).first(n));
        for (size_t page = 0; page + sizeof(uint32_t) <= n; page += region_page) look_at(&buffer[page], address + page);
        address += n;
        if (address % region_page != 0) break;  // the end of the piece
        if (watch_) watch_(found_.bytes_looked_through + (address - piece.address), all);
      }
      found_.bytes_looked_through += piece.bytes;
    }
    sort_by_boot();
    if (unsaid_ != 0) found_.faults.push_back(fmt::format("{} more headers that do not hold, not shown", unsaid_));
    return std::move(found_);
  }

 private:
  static uint64_t round_up(uint64_t address) {
    const uint64_t past = address % region_page;
    return past == 0 || address > ~uint64_t{0} - region_page ? address : address + (region_page - past);
  }

  void say(std::string fault) {
    if (found_.faults.size() < most_faults) {
      found_.faults.push_back(std::move(fault));
    } else {
      ++unsaid_;
    }
  }

  void look_at(const uint8_t* page, uint64_t address) {
    uint32_t magic;
    std::memcpy(&magic, page, sizeof magic);
    if (magic == region_magic) {
      found_region region{address, {}};
      memory_.read(address, {reinterpret_cast<uint8_t*>(&region.header), sizeof region.header});
      if (const region_status status = check_header(region.header); status != region_status::ok) {
        say(fmt::format("at 0x{:x}: {}", address, name_of(status)));
      } else {
        regions_.push_back(region);
      }
    } else if (magic == catalog_magic) {
      found_catalog catalog{address, {}};
      memory_.read(address, {reinterpret_cast<uint8_t*>(&catalog.header), sizeof catalog.header});
      if (!is_sound(catalog.header)) {
        say(fmt::format("at 0x{:x}: a catalog of own types whose header does not hold", address));
      } else {
        catalogs_.push_back(catalog);
      }
    }
  }

  // How much has been written to the region since it was made: of two that claim to be the same, the newer has more.
  uint32_t written(const found_region& region) const {
    uint32_t published = 0;
    memory_.read(region.address + offsetof(producer_page<native_seam>, published),
                 {reinterpret_cast<uint8_t*>(&published), sizeof published});
    return published - region.header.start_position;
  }

  void sort_by_boot() {
    std::map<uint64_t, found_boot, std::greater<>> boots;
    std::map<std::pair<uint64_t, uint32_t>, found_region> rings;  // boot; cpu and lane
    uint64_t taken_until = 0;
    uint64_t around = 0;
    for (const found_region& region : regions_) {  // by rising address
      if (region.address < taken_until) {
        say(fmt::format("at 0x{:x}: a region inside the one at 0x{:x}; it is not read", region.address, around));
        continue;
      }
      around = region.address;
      taken_until = region.address + region.header.region_bytes;
      const auto [place, is_new] = rings.try_emplace(
          {region.header.boot, uint32_t{region.header.cpu} << 8 | region.header.lane}, region);
      if (is_new) continue;
      const bool newer = written(region) > written(place->second);
      say(fmt::format("at 0x{:x}: the ring of cpu {}, lane {} is there twice; the one at 0x{:x} is read",
                      newer ? place->second.address : region.address, region.header.cpu, region.header.lane,
                      newer ? region.address : place->second.address));
      if (newer) place->second = region;
    }
    for (const auto& [identity, region] : rings) boots[identity.first].regions.push_back(region);
    for (const found_catalog& catalog : catalogs_) {
      const auto boot = boots.find(catalog.header.boot);
      if (boot != boots.end() && !boot->second.catalog) boot->second.catalog = catalog;
    }
    for (auto& [number, boot] : boots) {
      boot.boot = number;
      found_.boots.push_back(std::move(boot));
    }
  }

  const image_memory& memory_;
  const std::function<void(uint64_t, uint64_t)>& watch_;
  findings found_;
  std::vector<found_region> regions_;
  std::vector<found_catalog> catalogs_;
  uint64_t unsaid_ = 0;
};

}  // namespace

findings find_regions(const image_memory& memory, const std::function<void(uint64_t, uint64_t)>& watch) {
  return finder(memory, watch).find();
}

}  // namespace sluice::image
