// The message that a driver takes (producers/filter_message.h), made of a checked filter.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "consumers/filter/rules.h"

namespace sluice::filter {

struct message {
  std::vector<uint8_t> bytes;
  struct place {
    uint32_t offset;  // from here on
    position at;
  };
  std::vector<place> places;  // in the order of their offsets

  // What stands in the file for what stands in the message at `offset`; line 0: nothing of its own.
  position place_of(uint32_t offset) const;
};

// None: the filter changes nothing, and there is nothing to send; or it is too large, which is said to `found`.
std::optional<message> compile(const rules& filter, diagnostics& found);

}  // namespace sluice::filter
