// What the tool's options look like on the command line, and what they mean. Each parser returns the value or
// says what is wrong with the text.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "consumers/client/options.h"

namespace sluice::tool {

template <class value>
struct parsed {
  std::optional<value> result;
  std::string error;  // empty if there is a result
};

// No value: until it is told to stop.
using duration_limit = std::optional<std::chrono::nanoseconds>;

// "10s", "500ms", "2m", "1h", "1.5s"; "0" and "forever" are no limit. At most a year.
parsed<duration_limit> parse_duration(std::string_view text);

// "1MiB", "64KiB", "65536": the capacity of a ring, a power of two between 4 KiB and 1 GiB.
parsed<uint32_t> parse_ring_size(std::string_view text);

// "process,registry_set_value,heartbeat": the words, which are looked up when the driver has told its own types
// (consumers/type_names.h).
parsed<std::vector<std::string>> parse_types(std::string_view text);

// "live", "file:PATH", ...
enum class source_kind { live, synthetic, replay, file, image };
struct source_choice {
  source_kind kind = source_kind::live;
  std::string path;  // of a replay, a file or an image
};
parsed<source_choice> parse_source(std::string_view text);

// What is read of an image.
struct image_choices {
  bool unread_only = false;      // only what no reader had taken
  std::optional<uint64_t> boot;  // of which boot; the newest if not given
};

// "strict": none. "bounded:5ms": how long the stream waits for a record, in whole milliseconds.
struct order_choice {
  std::optional<uint32_t> bound_milliseconds;
};
parsed<order_choice> parse_order(std::string_view text);

// "1", "10", "0.5": times the recorded speed; "max": as fast as it goes, 0.
parsed<double> parse_speed(std::string_view text);

// A moment of a recording: "2026-11-21T04:30:00Z" (with or without a fraction), or "+10s" from its first
// record.
struct moment {
  bool relative = false;
  uint64_t value = 0;  // 100 ns units: since 1601-01-01 UTC, or since the first record
};
parsed<moment> parse_moment(std::string_view text);

enum class output_format { text, jsonl };
parsed<output_format> parse_format(std::string_view text);

parsed<transport> parse_transport(std::string_view text);

// "10s", "500ms", "until stopped".
std::string show(duration_limit limit);

}  // namespace sluice::tool
