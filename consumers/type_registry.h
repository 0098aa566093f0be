// The types that drivers declare for themselves: learned from type_declaration records as they pass in the stream, and
// from the driver's answer to code_types (kernel_port/driver/protocol.h). One thread at a time.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <variant>

#include "consumers/decoded_event.h"

namespace sluice {

struct declaration_error {
  std::string_view field;  // of type_declaration_payload or field_declaration
  std::string what;
};

class type_registry {
 public:
  // Checks one declaration and learns it. A later one of the same type replaces the earlier.
  // `declaration_bytes` receives what it takes of the span.
  std::variant<std::shared_ptr<const declared_type>, declaration_error> learn(std::span<const uint8_t> declaration_untrusted,
                                                                         size_t* declaration_bytes = nullptr);

  // The answer to code_types: declarations one after another, each padded to 8. Returns how many were learned; stops at
  // the first that is wrong, and says so in `error`.
  size_t learn_all(std::span<const uint8_t> answer_untrusted, std::string& error);

  // Null: nothing has declared this type.
  const std::shared_ptr<const declared_type>& find(uint16_t type) const;

 private:
  std::shared_ptr<const declared_type> types_[max_record_types - first_own_type];
};

}  // namespace sluice
