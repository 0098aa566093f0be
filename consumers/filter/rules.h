// A filter, checked, with every name looked up: what the message to the driver says, and nothing else.
#pragma once

#include <map>

#include "consumers/filter/configuration.h"
#include "consumers/type_names.h"
#include "producers/filter_message.h"

namespace sluice::filter {

struct rules {
  uint64_t types = ~uint64_t{0};  // bit n: type n is wanted; those that carry the stream always are
  std::vector<process_rule> processes;
  uint64_t process_types = ~uint64_t{0};
  std::vector<path_rule> images;
  std::vector<path_rule> keys;
  uint64_t repeat_types = 0;
  uint32_t repeat_window_ms = 0;
  std::map<uint16_t, rate_limit> type_rates;
  uint64_t process_rate_types = 0;
  rate_limit process_rate{0, 0};

  // Nothing is filtered.
  bool empty() const {
    return types == ~uint64_t{0} && processes.empty() && images.empty() && keys.empty() && repeat_types == 0 &&
           type_rates.empty() && process_rate_types == 0;
  }
};

// Whether the names that the driver gave its own types are known: a name that is in no list is an error then, and may be
// an own type's otherwise.
enum class own_types { known, unknown };

// Looks the names up and says to `found` what contradicts itself, what is there twice, and what never applies.
// `names` learns what is taken for an own type.
rules check(const configuration& said, type_names& names, own_types own, diagnostics& found);

}  // namespace sluice::filter
