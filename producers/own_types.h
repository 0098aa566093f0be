// Types that a driver registers: a name and a layout, so that every client can show its events without being built for
// them. Registration at PASSIVE_LEVEL; the events themselves are written with channel::write or reserve, at up to
// DISPATCH_LEVEL.
#pragma once

#include "producers/channel.h"
#include "producers/type_catalog.h"

namespace sluice {

struct own_type_definition {
  const char* name;  // ASCII, at most 32 characters
  uint8_t version;
  const field_declaration* fields;
  uint32_t field_count;
};

// A field of payload struct `type`: SLUICE_FIELD(my_event, request, sluice::field_kind::unsigned_integer)
#define SLUICE_FIELD(type, member, kind_of) \
  ::sluice::make_field(#member, offsetof(type, member), sizeof(type::member), kind_of)

// Fails to compile if the name is too long.
template <size_t size>
constexpr field_declaration make_field(const char (&name)[size], size_t offset, size_t bytes, field_kind kind) {
  static_assert(size - 1 <= max_name_length, "a field's name has at most 32 characters");
  field_declaration field{};
  for (size_t i = 0; i + 1 < size; ++i) field.name[i] = name[i];
  field.offset = static_cast<uint16_t>(offset);
  field.size = static_cast<uint16_t>(bytes);
  field.kind = kind;
  return field;
}

class own_type_registry {
 public:
  static constexpr uint32_t capacity = catalog_capacity;

  // PASSIVE_LEVEL. STATUS_INSUFFICIENT_RESOURCES: no memory for the declarations.
  [[nodiscard]] SLUICE_INIT_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS start(channel& to, const kernel_functions& functions);

  // Gives the type its number, switches it on, and writes its declaration into the stream. PASSIVE_LEVEL.
  // STATUS_INVALID_PARAMETER: a name or layout that no client could read; STATUS_OBJECT_NAME_COLLISION: the name is taken;
  // STATUS_INSUFFICIENT_RESOURCES: 32 types are registered.
  [[nodiscard]] _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS register_type(const own_type_definition& type, uint16_t& number);

  // Copies every declaration, each padded to 8 bytes, as protocol::code_types gives them. `needed` is set in any case.
  // STATUS_BUFFER_TOO_SMALL: nothing was copied. Up to DISPATCH_LEVEL.
  [[nodiscard]] _IRQL_requires_max_(DISPATCH_LEVEL)
  NTSTATUS copy_declarations(_Out_writes_bytes_to_(size, needed) void* buffer, uint32_t size, uint32_t& needed);

  _IRQL_requires_max_(DISPATCH_LEVEL)
  uint64_t mask();  // bit n: type n is registered

 private:
  static uint32_t length_of(const type_entry& from) {
    return sizeof(type_declaration_payload) + from.head.field_count * sizeof(field_declaration);
  }
  _IRQL_requires_(PASSIVE_LEVEL)
  static bool is_sound(const own_type_definition& type);

  type_catalog& catalog() const { return *static_cast<type_catalog*>(memory_.get()); }

  channel* channel_ = nullptr;
  KSPIN_LOCK lock_{};
  nonpaged_memory memory_;  // the catalog, on pages of its own
};

}  // namespace sluice
