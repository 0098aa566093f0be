// What a filter remembers on one CPU: buckets, and events that were kept a short time ago. Bounded: sets of four, the oldest of a
// set gives way. Touched in that CPU's section only.
#pragma once

#include "producers/token_bucket.h"

namespace sluice {

// Events kept lately, by the hash of what identifies them. Forgetting one too early lets a repeat through.
struct repeat_memory {
  static constexpr uint32_t sets = 64, ways = 4;
  struct entry {
    uint64_t hash;  // 0: none
    uint64_t time;
  };
  entry entries[sets][ways];

  // True: kept less than `window` before `now`. Otherwise `place` is where to remember it.
  bool is_repeat(uint64_t hash, uint64_t now, uint64_t window, entry*& place) {
    entry(&set)[ways] = entries[hash >> 32 & (sets - 1)];
    place = &set[0];
    for (entry& candidate : set) {
      if (candidate.hash == hash) {
        place = &candidate;
        return now - candidate.time < window;
      }
      if (candidate.hash == 0 || (place->hash != 0 && now - candidate.time > now - place->time)) place = &candidate;
    }
    return false;
  }
};

// A bucket for each of the processes that were active lately.
struct process_buckets {
  static constexpr uint32_t sets = 64, ways = 4;
  struct entry {
    uint64_t pid_and_1;  // 0: none
    token_bucket bucket;
  };
  entry entries[sets][ways];

  token_bucket& of(uint32_t pid, const bucket_limits& limits, uint64_t now) {
    const uint64_t wanted = uint64_t{pid} + 1;
    entry(&set)[ways] = entries[(pid * 0x9e3779b1u) >> 16 & (sets - 1)];
    entry* oldest = &set[0];
    for (entry& candidate : set) {
      if (candidate.pid_and_1 == wanted) return candidate.bucket;
      if (candidate.pid_and_1 == 0 ||
          (oldest->pid_and_1 != 0 && now - candidate.bucket.time > now - oldest->bucket.time)) {
        oldest = &candidate;
      }
    }
    oldest->pid_and_1 = wanted;
    oldest->bucket.begin(limits, now);
    return oldest->bucket;
  }
};

struct type_buckets {
  token_bucket of[max_record_types];
};

}  // namespace sluice
