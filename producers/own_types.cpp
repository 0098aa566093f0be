#include "producers/own_types.h"

namespace sluice {
namespace {

uint32_t name_length(const char* name) {
  uint32_t length = 0;
  while (length <= max_name_length && name[length] != 0) ++length;
  return length;
}

bool is_printable(const char* name, uint32_t length) {
  for (uint32_t i = 0; i < length; ++i) {
    if (name[i] <= ' ' || name[i] > '~') return false;
  }
  return true;
}

bool is_sound_field(const field_declaration& field) {
  if (field.name[0] == 0) return false;
  switch (field.kind) {
    case field_kind::unsigned_integer:
    case field_kind::signed_integer:
    case field_kind::hexadecimal:
      return field.size == 1 || field.size == 2 || field.size == 4 || field.size == 8;
    case field_kind::utf16_string: return field.size == sizeof(string_field);
    case field_kind::bytes: return field.size != 0;
  }
  return false;
}

bool same_name(const char (&name)[max_name_length], const char* other, uint32_t length) {
  for (uint32_t i = 0; i < max_name_length; ++i) {
    if (name[i] != (i < length ? other[i] : 0)) return false;
  }
  return true;
}

}  // namespace

bool own_type_registry::is_sound(const own_type_definition& type) {
  if (type.name == nullptr || type.field_count > max_fields || (type.fields == nullptr && type.field_count != 0)) {
    return false;
  }
  const uint32_t length = name_length(type.name);
  if (length == 0 || length > max_name_length || !is_printable(type.name, length)) return false;
  for (uint32_t i = 0; i < type.field_count; ++i) {
    if (!is_sound_field(type.fields[i])) return false;
  }
  return true;
}

NTSTATUS own_type_registry::start(channel& to, const kernel_functions& functions) {
  PAGED_CODE();
  channel_ = &to;
  KeInitializeSpinLock(&lock_);
  if (!memory_.allocate(functions, sizeof(type_catalog))) return STATUS_INSUFFICIENT_RESOURCES;
  create_catalog(catalog(), to.options().boot);
  return STATUS_SUCCESS;
}

// Not paged: it holds a spin lock.
NTSTATUS own_type_registry::register_type(const own_type_definition& type, uint16_t& number) {
  if (!is_sound(type)) return STATUS_INVALID_PARAMETER;
  const uint32_t length = name_length(type.name);
  uint32_t index;
  type_catalog& known = catalog();
  {
    const spin_lock_scope lock(lock_);
    index = known.header.count;
    for (uint32_t i = 0; i < index; ++i) {
      if (same_name(known.entries[i].head.name, type.name, length)) return STATUS_OBJECT_NAME_COLLISION;
    }
    if (index == capacity) return STATUS_INSUFFICIENT_RESOURCES;
    type_entry& entry = known.entries[index];
    entry.head.type = static_cast<uint16_t>(first_own_type + index);
    entry.head.version = type.version;
    entry.head.field_count = type.field_count;
    for (uint32_t i = 0; i < length; ++i) entry.head.name[i] = type.name[i];
    for (uint32_t i = 0; i < type.field_count; ++i) entry.fields[i] = type.fields[i];
    compiler_barrier();  // whoever reads a dead machine's memory finds the entry complete
    known.header.count = index + 1;
    channel_->switch_on(entry.head.type);
  }
  number = known.entries[index].head.type;
  // Before the first event of the type. If the ring has no room for it, the loss is announced, and a client still finds
  // the declaration through code_types.
  channel_->write_own(record_type_type_declaration, &known.entries[index], length_of(known.entries[index]));
  return STATUS_SUCCESS;
}

NTSTATUS own_type_registry::copy_declarations(void* buffer, uint32_t size, uint32_t& needed) {
  const spin_lock_scope lock(lock_);
  const type_catalog& known = catalog();
  needed = 0;
  for (uint32_t i = 0; i < known.header.count; ++i) needed += record_stride(length_of(known.entries[i]));
  if (needed > size) return STATUS_BUFFER_TOO_SMALL;
  uint8_t* to = static_cast<uint8_t*>(buffer);
  for (uint32_t i = 0; i < known.header.count; ++i) {
    const type_entry& entry = known.entries[i];
    copy_bytes(to, &entry, length_of(entry));  // a multiple of 8 as it is
    to += record_stride(length_of(entry));
  }
  return STATUS_SUCCESS;
}

uint64_t own_type_registry::mask() {
  const spin_lock_scope lock(lock_);
  const uint32_t count = catalog().header.count;
  return count == 0 ? 0 : ((uint64_t{1} << count) - 1) << first_own_type;
}

}  // namespace sluice
