// How far the rings of a driver were read, whoever reads them: from copies of no more than their positions. One thread.
#pragma once

#include <cstdint>
#include <vector>

#include "consumers/event_source.h"

namespace sluice::tool {

class ring_progress {
 public:
  explicit ring_progress(event_source& driver);

  // Looks at every ring. True: none holds anything that was not taken.
  bool look();
  // What was taken so far, bytes of all rings.
  uint64_t taken() const { return taken_; }

 private:
  event_source& driver_;
  const uint32_t cpus_;
  std::vector<uint8_t> answer_;
  uint64_t taken_ = 0;
};

}  // namespace sluice::tool
