#include "consumers/type_registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace sluice {
namespace {

// At most max_name_length bytes, NUL-padded. Empty: not a name.
std::string checked_name(const char (&bytes)[max_name_length]) {
  const size_t length = strnlen(bytes, max_name_length);
  for (size_t i = 0; i < length; ++i) {
    if (bytes[i] <= 0x20 || bytes[i] >= 0x7f) return {};
  }
  return {bytes, length};
}

// Empty: the size fits the kind.
std::string wrong_size(field_kind kind, uint16_t size) {
  switch (kind) {
    case field_kind::unsigned_integer:
    case field_kind::signed_integer:
    case field_kind::hexadecimal:
      if (size == 1 || size == 2 || size == 4 || size == 8) return {};
      return fmt::format("{} bytes for a number, which takes 1, 2, 4 or 8", size);
    case field_kind::utf16_string:
      if (size == sizeof(string_field)) return {};
      return fmt::format("{} bytes for a string, which takes {}", size, sizeof(string_field));
    case field_kind::bytes: break;
  }
  return size != 0 ? std::string() : std::string("0 bytes");
}

}  // namespace

std::variant<std::shared_ptr<const declared_type>, declaration_error> type_registry::learn(
    std::span<const uint8_t> declaration_untrusted, size_t* declaration_bytes) {
  type_declaration_payload header;
  if (declaration_untrusted.size() < sizeof(header)) {
    return declaration_error{"field_count", fmt::format("declaration of {} bytes, shorter than its fixed part of {}",
                                                        declaration_untrusted.size(), sizeof(header))};
  }
  std::memcpy(&header, declaration_untrusted.data(), sizeof(header));
  if (header.type < first_own_type || header.type >= max_record_types) {
    return declaration_error{"type", fmt::format("type {} is not one that a driver may declare ({} to {})", header.type,
                                                 first_own_type, max_record_types - 1)};
  }
  if (header.field_count > max_fields) {
    return declaration_error{"field_count", fmt::format("{} fields, at most {}", header.field_count, max_fields)};
  }
  const size_t bytes = sizeof(header) + header.field_count * sizeof(field_declaration);
  if (bytes > declaration_untrusted.size()) {
    return declaration_error{"field_count", fmt::format("{} fields do not fit in {} bytes", header.field_count,
                                                        declaration_untrusted.size())};
  }
  auto declared = std::make_shared<declared_type>();
  declared->type = header.type;
  declared->version = header.version;
  declared->name = checked_name(header.name);
  if (declared->name.empty()) return declaration_error{"name", "not a name of printable ASCII without spaces"};
  for (uint32_t i = 0; i < header.field_count; ++i) {
    field_declaration field;
    std::memcpy(&field, declaration_untrusted.data() + sizeof(header) + i * sizeof(field), sizeof(field));
    const std::string name = checked_name(field.name);
    if (name.empty()) {
      return declaration_error{"fields.name", fmt::format("field {}: not a name of printable ASCII without spaces", i)};
    }
    if (std::any_of(declared->fields.begin(), declared->fields.end(),
                    [&](const declared_field& other) { return other.name == name; })) {
      return declaration_error{"fields.name", fmt::format("two fields are called {}", name)};
    }
    if (const std::string wrong = wrong_size(field.kind, field.size); !wrong.empty()) {
      return declaration_error{"fields.size", fmt::format("{}: {}", name, wrong)};
    }
    declared->fields.push_back({name, field.offset, field.size, field.kind});
  }
  if (declaration_bytes != nullptr) *declaration_bytes = bytes;
  return types_[header.type - first_own_type] = std::move(declared);
}

size_t type_registry::learn_all(std::span<const uint8_t> answer_untrusted, std::string& error) {
  size_t learned = 0;
  size_t offset = 0;
  while (offset < answer_untrusted.size()) {
    size_t bytes = 0;
    const auto result = learn(answer_untrusted.subspan(offset), &bytes);
    if (const auto* wrong = std::get_if<declaration_error>(&result)) {
      error = fmt::format("declaration {} at offset {}: {}: {}", learned, offset, wrong->field, wrong->what);
      return learned;
    }
    ++learned;
    offset += (bytes + 7) / 8 * 8;
  }
  return learned;
}

const std::shared_ptr<const declared_type>& type_registry::find(uint16_t type) const {
  static const std::shared_ptr<const declared_type> none;
  if (type < first_own_type || type >= max_record_types) return none;
  return types_[type - first_own_type];
}

}  // namespace sluice
