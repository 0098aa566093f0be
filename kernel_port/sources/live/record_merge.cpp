#include "kernel_port/sources/live/record_merge.h"

#include <algorithm>

namespace sluice::live {

void record_merge::add(uint32_t ring, linux_record&& record) {
  record.time = std::max(record.time, last_time_[ring]);
  last_time_[ring] = record.time;
  held_.push_back(std::move(record));
}

std::vector<linux_record> record_merge::take(uint64_t horizon) {
  // Stable: records of one ring with the same time keep their order.
  std::stable_sort(held_.begin(), held_.end(),
                   [](const linux_record& a, const linux_record& b) { return a.time < b.time; });
  auto end = std::find_if(held_.begin(), held_.end(), [&](const linux_record& r) { return r.time >= horizon; });
  std::vector<linux_record> taken(std::make_move_iterator(held_.begin()), std::make_move_iterator(end));
  held_.erase(held_.begin(), end);
  for (const linux_record& record : taken) {
    if (record.time < last_taken_) ++out_of_order_;
    last_taken_ = std::max(last_taken_, record.time);
  }
  return taken;
}

}  // namespace sluice::live
