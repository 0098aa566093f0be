#include "consumers/image/region_copy.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>

namespace sluice::image {

void region_copy::unmap::operator()(void* memory) const { ::munmap(memory, bytes); }

region_copy::region_copy(const image_memory& from, uint64_t address, uint64_t bytes) : from_(&from), address_(address) {
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw image_error(fmt::format("no memory for the ring at 0x{:x}: {} bytes", address, bytes));
  memory_ = std::unique_ptr<void, unmap>(memory, unmap{bytes});
}

void region_copy::take(uint64_t begin, uint64_t end) {
  std::vector<byte_range> missing;
  from_->read(address_ + begin, {bytes() + begin, end - begin}, missing);
  for (const byte_range& range : missing) missing_.push_back({range.begin - address_, range.end - address_});
  std::sort(missing_.begin(), missing_.end(), [](const byte_range& a, const byte_range& b) { return a.begin < b.begin; });
}

const byte_range* region_copy::missing_at(uint64_t offset) const {
  const auto range = std::upper_bound(missing_.begin(), missing_.end(), offset,
                                      [](uint64_t value, const byte_range& r) { return value < r.end; });
  return range != missing_.end() && range->begin <= offset ? &*range : nullptr;
}

bool region_copy::lacks(uint64_t begin, uint64_t end) const {
  const auto range = std::upper_bound(missing_.begin(), missing_.end(), begin,
                                      [](uint64_t value, const byte_range& r) { return value < r.end; });
  return range != missing_.end() && range->begin < end;
}

}  // namespace sluice::image
