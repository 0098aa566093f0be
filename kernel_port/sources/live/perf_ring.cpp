#include "kernel_port/sources/live/perf_ring.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "kernel_port/sources/live/live_error.h"

namespace sluice::live {

perf_ring::perf_ring(perf_event_mmap_page* page, std::span<const uint8_t> data, uint32_t cpu)
    : page_(page), data_(data), mask_(data.size() - 1), cpu_(cpu), head_(page->data_tail), position_(head_) {
  if (data.empty() || (data.size() & mask_) != 0)
    throw live_error(live_error_kind::wrong_option, "the data of a perf ring is not a power of two long");
}

uint64_t perf_ring::look() {
  // acquire: pairs with the kernel's release of data_head; the records before it are whole
  head_ = __atomic_load_n(&page_->data_head, __ATOMIC_ACQUIRE);
  return head_;
}

std::span<const uint8_t> perf_ring::next() {
  uint64_t available = head_ - position_;
  if (available == 0) return {};
  perf_event_header header{};
  bool whole = available >= sizeof header && available <= data_.size();
  if (whole) copy_out(position_, &header, sizeof header);
  if (!whole || header.size < sizeof header || header.size % 8 != 0 || header.size > available)
    throw live_error(live_error_kind::malformed,
                     fmt::format("the perf ring of CPU {} holds no record at position {}: size {}, {} bytes written",
                                 cpu_, position_, header.size, available));

  uint64_t offset = position_ & mask_;
  std::span<const uint8_t> record;
  if (offset + header.size <= data_.size()) {
    record = data_.subspan(offset, header.size);
  } else {
    buffer_.resize(header.size);
    copy_out(position_, buffer_.data(), header.size);
    record = buffer_;
  }
  position_ += header.size;
  return record;
}

void perf_ring::release() {
  // release: pairs with the kernel's read of data_tail; our reads of the data are done before it writes there again
  __atomic_store_n(&page_->data_tail, position_, __ATOMIC_RELEASE);
}

void perf_ring::copy_out(uint64_t position, void* to, size_t count) const {
  uint64_t offset = position & mask_;
  size_t first = std::min<size_t>(count, data_.size() - offset);
  std::memcpy(to, data_.data() + offset, first);
  std::memcpy(static_cast<uint8_t*>(to) + first, data_.data(), count - first);
}

}  // namespace sluice::live
