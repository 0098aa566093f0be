// One event of a recording in JSON Lines (docs/replay.md): what a line says, checked, in the form the simulated
// kernel needs it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice::replay {

enum class event_kind : uint8_t {
  process_create,
  process_exit,
  driver_load,
  image_load,
  remote_thread,
  registry_create_key,
  registry_delete_key,
  registry_set_value,
  registry_delete_value,
  registry_rename,
};
inline constexpr uint32_t event_kinds = 10;
const char* name_of(event_kind kind);

// Ids of NT are small; this leaves room to tell several hosts' apart.
inline constexpr uint32_t max_id = (1u << 26) - 1;
// UNICODE_STRING counts bytes in 16 bits.
inline constexpr size_t max_string_units = 32766;

struct recorded_event {
  uint64_t line = 0;  // in the file, from 1
  uint64_t time = 0;  // 100 ns units since 1601-01-01 UTC
  event_kind kind{};
  std::string host;
  std::string guid, target_guid;  // of the acting process, of a remote thread's process; empty: not known
  uint32_t pid = 0;               // acting process; 0 of a driver_load
  uint32_t parent_pid = 0;
  uint32_t target_pid = 0, tid = 0;  // remote_thread
  uint64_t start_address = 0;
  std::optional<std::u16string> image, command_line;  // process_create
  std::optional<std::u16string> path;                 // image_load, driver_load
  std::u16string key, value, new_key;                 // NT form
  uint32_t value_type = 0;                            // REG_SZ, ...
  std::vector<uint8_t> data;                          // as the value holds it

  // About what this event takes in memory.
  size_t bytes() const;
};

}  // namespace sluice::replay
