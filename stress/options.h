// What a stress run does: sizes, seed, and a switch for each ingredient. All ingredients are on unless told otherwise.
#pragma once

#include <cstdint>

#include "pipeline/region.h"

namespace sluice::stress {

enum class order_kind : uint8_t { exact, slack };
enum class target_kind : uint8_t {
  channel,  // producers, rings and merge, the checking consumer in place of the driver's worker
  driver,   // the whole driver, read through its device
  torture,  // machines that change in every way, the driver loaded and unloaded, clients of all transports
};

struct stress_options {
  target_kind target = target_kind::channel;
  order_kind order = order_kind::exact;
  ring_mode mode = ring_mode::discard;  // overwrite: with the driver as target
  uint64_t events = 1'000'000;    // attempts, over all producers
  double seconds = 0;             // ends the run even if `events` is not reached; 0: no limit
  uint32_t cpus = 4;              // virtual
  uint32_t producers = 4;         // threads per CPU
  uint32_t ring_bytes = 256 << 10;
  uint32_t spare_bytes = 16 << 10;
  uint32_t critical_bytes = 0;    // 0: an eighth of the ring
  uint32_t max_record = 0;        // 0: what the ring allows, at most 4 KiB
  uint32_t start_position = 0xffff0000;  // of every ring: positions soon pass 2^32
  uint64_t seed = 1;
  uint32_t margin_microseconds = 50;      // slack order
  uint32_t set_aside_milliseconds = 20;   // an open record that is older no longer holds the stream back; 0: strict
  uint32_t watchdog_milliseconds = 1000;  // how long the consumer sleeps before it looks for what should have woken it
  uint64_t quiet_events = 50'000;         // attempts between two audits at rest

  // Ingredients.
  bool perturb = true;     // the simulated kernel yields, delays and interleaves by the seed
  bool preempt = true;     // producers yield and sleep between reserve and commit
  bool migrate = true;     // threads move between virtual CPUs
  bool nested = true;      // reservations inside reservations, closed in any order
  bool dpcs = true;        // DPC writers on every CPU, over its open reservations
  bool hand_over = true;   // records are closed by other threads on other CPUs
  bool discards = true;
  bool suspend = true;     // suspensions at random moments
  bool hoarder = true;     // a producer that keeps reservations open for long
  bool stalls = true;      // the consumer stops for a while
  bool critical = true;    // critical types beside ordinary ones
  bool sizes = true;       // payloads from nothing to the longest, and longer than that
  bool switching = true;   // types are switched off and on
  bool statistics = true;  // the account is checked while everything runs
  bool refusals = true;    // the consumer's sink refuses records now and then
  bool duets = true;       // one writer against a consumer that is about to sleep, many times
  bool back_off = true;    // a producer that found no room lets the consumer run
  bool hostile = true;     // at the end the consumer's word is forged
};

// Fills `options` from the command line. Returns false if the process should end with `exit_code` (help, wrong use).
bool parse_options(int argc, char** argv, stress_options& options, int& exit_code);

}  // namespace sluice::stress
