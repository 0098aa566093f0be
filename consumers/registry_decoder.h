// Registry records: their payloads into registry_events.h. Internal to the decoder.
#pragma once

#include "consumers/payload_reader.h"

namespace sluice {

constexpr bool is_registry_event(uint16_t type) {
  return type >= event_type_registry_create_key && type <= event_type_registry_rename_key;
}

size_t registry_fixed_bytes_of(uint16_t type);
event_body read_registry_event(payload_reader& in, uint16_t type);

}  // namespace sluice
