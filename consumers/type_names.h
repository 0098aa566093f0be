// Event types by the names that users write: groups (process, thread, image, registry, own), single events
// (process_create), and own types by the names that their driver declared.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "consumers/type_registry.h"

namespace sluice {

inline constexpr uint64_t bit_of(uint16_t type) { return uint64_t{1} << type; }
// Every type that is an event, and not part of how the stream is carried.
inline constexpr uint64_t all_events = ~uint64_t{0} << first_event_type;
inline constexpr uint64_t all_own_types = ~uint64_t{0} << first_own_type;

// Groups and the library's events; 0: `name` is neither.
uint64_t library_types(std::string_view name);

// The library's names come first: an own type that is called like one of them is reached as `own` only.
class type_names {
 public:
  // Declarations as event_source::types gives them; none: only the library's names.
  explicit type_names(const std::vector<uint8_t>& declarations_untrusted = {});

  // Bit n: type n. 0: no type is called so.
  uint64_t find(std::string_view name) const;
  // An own type whose driver is not there to ask gets a number that none of the others has. 0: all numbers are taken.
  uint64_t assume(const std::string& name);
  // The groups first.
  const std::vector<std::string>& all() const { return all_; }
  // "process, thread, image, registry, own; process_create, ...; own types: heartbeat"
  std::string known() const;
  // "process, registry_set_value": groups where all of their types are meant.
  std::string show(uint64_t types) const;

 private:
  struct own_type {
    std::string name;
    uint16_t type;
  };
  std::vector<own_type> own_;
  std::vector<std::string> all_;
};

}  // namespace sluice
