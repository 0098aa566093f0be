// What records of the registry mean: one struct per operation, with the names of producers/events.h. Part of
// decoded_event.h; absent fields and the lifetime of strings and bytes are described there.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "consumers/decoded_value.h"

namespace sluice {

struct registry_outcome_fields {
  std::optional<int32_t> status;
  std::optional<uint32_t> flags;
};

struct registry_key_fields : registry_outcome_fields {
  std::optional<uint32_t> disposition, desired_access;
  std::optional<string_value> key_path;
};
struct registry_create_key_event : registry_key_fields {};
struct registry_open_key_event : registry_key_fields {};
struct registry_delete_key_event : registry_key_fields {};

struct registry_set_value_event : registry_outcome_fields {
  std::optional<uint32_t> value_type;
  std::optional<string_value> key_path, value_name;
  std::optional<bytes_value> data;
};

struct registry_delete_value_event : registry_outcome_fields {
  std::optional<string_value> key_path, value_name;
};

struct registry_rename_key_event : registry_outcome_fields {
  std::optional<string_value> key_path, new_name;
};

}  // namespace sluice
