// What a filter file says: words of it are not looked up yet (own types are known to their driver only). See
// docs/filter-format.md; what the driver makes of it is in producers/filter_message.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "consumers/filter/diagnostic.h"

namespace sluice::filter {

struct type_word {
  std::string name;
  position at;
};

struct type_list {
  std::vector<type_word> words;
  position at;
};

struct process_rule {
  uint32_t pid;
  bool exclude;
  bool descendants;
  position at;
};

struct path_rule {
  std::u16string path;
  bool exclude;
  position at;
};

struct rate_limit {
  uint32_t per_second;
  uint32_t burst;
};

struct type_rate_rule {
  type_list types;
  rate_limit rate;
  position at;
};

struct configuration {
  std::optional<type_list> types;  // none: all, as everywhere below
  std::vector<process_rule> processes;
  std::optional<type_list> process_types;
  std::vector<path_rule> images;
  std::vector<path_rule> keys;
  struct repeats {
    type_list types;
    uint32_t window_ms;
  };
  std::optional<repeats> repeat;
  std::vector<type_rate_rule> type_rates;
  struct process_rates {
    std::optional<type_list> types;
    rate_limit rate;
  };
  std::optional<process_rates> process_rate;
};

// Reads TOML. Everything that is wrong by itself goes to `found`; with errors the result is a part of what was meant.
configuration parse(std::string_view text, diagnostics& found);

}  // namespace sluice::filter
