// Strings of the kernel, into a reserved record. The caller sizes its reservation with stored_length and then copies once.
// Up to APC_LEVEL: the strings that notify routines get are in paged memory.
#pragma once

#include "producers/event_decision.h"
#include "producers/events.h"
#include "producers/scopes.h"

namespace sluice {

// A string as the callback gave it, read once. The kernel owns it for the length of the callback.
struct kernel_string {
  const uint8_t* bytes = nullptr;
  uint16_t original_length = 0;
  uint16_t stored_length = 0;  // bytes; at most the bound, never half a UTF-16 unit
  bool available = false;

  kernel_string(const UNICODE_STRING* string, uint32_t bound) {
    if (string == nullptr || (string->Buffer == nullptr && string->Length != 0)) return;
    available = true;
    bytes = reinterpret_cast<const uint8_t*>(string->Buffer);
    original_length = static_cast<uint16_t>(string->Length & ~1u);
    stored_length = original_length <= bound ? original_length : static_cast<uint16_t>(bound & ~1u);
  }

  // For a filter: all of it, whatever of it is stored.
  judged_path judged() const { return {bytes, original_length, available, true}; }

  // Copies to `payload + offset` and describes it. Returns the offset behind the string.
  uint32_t copy(uint8_t* payload, uint32_t offset, string_field& field) const {
    field.offset = static_cast<uint16_t>(offset);
    field.length = stored_length;
    field.original_length = original_length;
    field.flags = static_cast<uint16_t>((available ? 0 : string_flag_unavailable) |
                                        (stored_length < original_length ? string_flag_truncated : 0));
    copy_bytes(payload + offset, bytes, stored_length);
    return offset + stored_length;
  }
};

inline uint32_t process_id_of(HANDLE id) { return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(id)); }

}  // namespace sluice
