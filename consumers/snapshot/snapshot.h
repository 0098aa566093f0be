// What the rings of a running driver hold, asked for while everything goes on: a flight recorder's content. Nobody is
// stopped; each ring is as it was while its turn came, one after the other.
//
// One thread at a time; needs memory for what the rings hold. Throws source_error.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "consumers/event_source.h"
#include "kernel_port/driver/protocol.h"

namespace sluice {

// One ring: whole records that follow one another, from `begin` to `end`.
struct ring_snapshot {
  protocol::ring_copy about{};   // of the first piece: what stands before `begin`
  std::vector<uint8_t> records;
  uint64_t begin = 0;
  uint64_t end = 0;
  bool overtaken = false;  // the producer overwrote it faster than it could be copied: there are no records
  uint64_t missing = 0;    // bytes behind `end` that had been published, and were overwritten before they could be copied
  bool damaged = false;    // the ring contradicts itself behind `end`
};

struct snapshot {
  uint64_t boot = 0;
  std::vector<ring_snapshot> rings;  // by (cpu, lane); of CPUs that run
  std::vector<uint8_t> types;        // own types, as event_source::types gives them
};

// `buffer_bytes`: for one piece; at least a piece's header and the longest record.
snapshot take_snapshot(event_source& from, size_t buffer_bytes = sizeof(protocol::ring_copy) + protocol::max_ring_copy_bytes);

}  // namespace sluice
