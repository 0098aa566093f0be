// The command line of `sluice`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "consumers/client/options.h"
#include "consumers/tool/option_values.h"
#include "consumers/tool/synthetic_values.h"
#include "pipeline/region.h"

namespace sluice::tool {

// What a process of the tool ends with.
inline constexpr int exit_ok = 0;
inline constexpr int exit_wrong_use =
    1;  // wrong use, no permission, damaged input, or output that could not be written
inline constexpr int exit_broken_invariant = 2;  // the run contradicts what Sluice guarantees

struct watch_options {
  source_choice source;
  duration_limit duration = std::chrono::seconds(10);
  std::vector<std::string> types = {"process", "thread", "image", "registry", "own"};
  bool types_given = false;
  std::string filter_path;  // empty: no filter
  output_format format = output_format::text;
  uint32_t ring_bytes = 1u << 20;
  uint32_t cpus = 0;  // 0: as many as the host has
  order_choice order;
  ring_mode mode = ring_mode::discard;
  double speed = 1;           // of a replay; 0: as fast as it goes
  bool back_pressure = true;  // then: and wait for the reader
  synthetic_choices synthetic;
  std::optional<moment> from, to;  // of a recording
  image_choices image;
  std::string memory_path;         // of the simulated machine's memory; empty: nobody keeps it
  std::string snapshot_path;       // of the rings, when asked for; empty: none
  bool shares_memory = false;      // of the simulated machine, with clients that map the rings
  bool prints = true;              // events, to stdout
  std::string connect;             // the name of a kernel that runs elsewhere; empty: the source
  transport by = transport::automatic;
};

struct record_options {
  std::string path;
  bool replace = false;
  watch_options watch;  // what is recorded
};

struct simulate_options {
  std::string name;  // consumers/nt/socket_name.h
  bool waits_for_client = false;
  watch_options watch;  // what drives the machine
};

struct command_line {
  enum class command { none, watch, record, stats, check_filter, show_filter, set_filter, clear_filter, simulate };
  command run = command::none;
  watch_options watch;
  record_options record;
  simulate_options simulate;
  std::string stats_path;
  std::string filter_path;  // to be checked, or set
  std::string connect;      // whom stats and filter ask; empty: nobody
  output_format stats_format = output_format::text;
  image_choices stats_image;
  int exit_code = exit_ok;  // where there is nothing to run
};

// Prints help and version to stdout, what is wrong to stderr.
command_line parse_command_line(int count, char** arguments);

}  // namespace sluice::tool
