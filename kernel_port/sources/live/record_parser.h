// Bytes of a perf ring to linux_record. The layout is that of linux/perf_event.h for the attributes that perf_event.cpp
// sets: every record ends in the trailer of sample_id_all (tid, time, cpu). Any thread; no state.
#pragma once

#include <cstdint>
#include <span>

#include "kernel_port/sources/live/linux_record.h"

namespace sluice::live {

// `bytes` is one whole record, header included. Throws live_error (malformed) if a record of a known type is too short
// for its fields, or a string in it has no end. An unknown type gives record_kind::unknown.
linux_record parse_record(std::span<const uint8_t> bytes);

}  // namespace sluice::live
