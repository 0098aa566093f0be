// From a record to a typed event. What a record says is not trusted:
//
//   - a type that nobody declared becomes an unknown_event: skipped by content, but never silently;
//   - a longer payload (a newer driver's) is read by the fields known here;
//   - a shorter payload of an older version leaves the fields that it ends before absent; of the current version it is damage;
//   - every string's offset and length are checked against the payload;
//   - damage becomes a damaged_event that names the field; the next record is decoded as if nothing had been.
//
// One decoder per stream, one thread at a time: it learns the own types that are declared in it.
#pragma once

#include <string>

#include "consumers/decoded_event.h"
#include "consumers/type_registry.h"

namespace sluice {

class decoder {
 public:
  // Points into the record's payload. Throws std::bad_alloc only.
  decoded_event decode(const delivered_record& record);

  type_registry& types() { return types_; }
  const type_registry& types() const { return types_; }

  // "process_create"; for an own type its declared name; otherwise "type_40".
  std::string name_of(uint16_t type) const;

 private:
  type_registry types_;
};

// "process_create on cpu 3, lane 0, position 4096, field image_path: ..." Empty if the event is not damaged.
std::string describe_damage(const decoded_event& event, const decoder& names);

}  // namespace sluice
