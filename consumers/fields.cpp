#include "consumers/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

namespace sluice {
namespace {

struct flag_name {
  uint32_t bit;
  std::string_view name;
};

constexpr flag_name process_flags[] = {
    {process_flag_subsystem, "subsystem"},           {process_flag_exact_image_path, "exact_image_path"},
    {process_flag_denied, "denied"},                 {process_flag_no_start_key, "no_start_key"},
    {process_flag_no_details, "no_details"},         {process_flag_no_exit_status, "no_exit_status"},
};
// Bits that have a boolean of their own (remote, system_image, machine_mismatch) are not repeated in the list.
constexpr flag_name thread_flags[] = {
    {thread_flag_no_start_address, "no_start_address"},
    {thread_flag_remote_uncertain, "remote_uncertain"},
};
constexpr flag_name registry_flags[] = {
    {registry_flag_no_outcome, "no_outcome"},
    {registry_flag_no_disposition, "no_disposition"},
    {registry_flag_relative_path, "relative_path"},
};
// REG_NONE and the others, by their numbers.
constexpr std::string_view value_types[] = {
    "REG_NONE",     "REG_SZ",       "REG_EXPAND_SZ",     "REG_BINARY",
    "REG_DWORD",    "REG_DWORD_BIG_ENDIAN", "REG_LINK",  "REG_MULTI_SZ",
    "REG_RESOURCE_LIST", "REG_FULL_RESOURCE_DESCRIPTOR", "REG_RESOURCE_REQUIREMENTS_LIST", "REG_QWORD",
};
constexpr uint32_t image_booleans = image_flag_system | image_flag_machine_mismatch;

std::string_view name_of(field_kind kind) {
  switch (kind) {
    case field_kind::unsigned_integer: return "unsigned_integer";
    case field_kind::signed_integer: return "signed_integer";
    case field_kind::hexadecimal: return "hexadecimal";
    case field_kind::utf16_string: return "utf16_string";
    case field_kind::bytes: return "bytes";
  }
  return "unknown";
}

class walker {
 public:
  walker(const decoded_event& event, const decoder& names, field_visitor& visitor)
      : event_(event), names_(names), visitor_(visitor) {}

  void operator()(const process_create_event& e) {
    number("pid", e.pid);
    number("parent_pid", e.parent_pid);
    number("creating_pid", e.creating_pid);
    number("creating_tid", e.creating_tid);
    number("start_key", e.start_key);
    flags(e.flags, process_flags);
    string("image_path", e.image_path);
    string("command_line", e.command_line);
  }
  void operator()(const process_exit_event& e) {
    number("pid", e.pid);
    number("start_key", e.start_key);
    flags(e.flags, process_flags);
    if (e.exit_status) visitor_.signed_number("exit_status", *e.exit_status);
  }
  void operator()(const thread_fields& e) {
    number("pid", e.pid);
    number("tid", e.tid);
    number("creator_pid", e.creator_pid);
    number("creator_tid", e.creator_tid);
    bit("remote", e.flags, thread_flag_remote);
    if (e.start_address) visitor_.hexadecimal("start_address", *e.start_address);
    flags(e.flags, thread_flags, thread_flag_remote);
  }
  void operator()(const image_load_event& e) {
    number("pid", e.pid);
    if (e.base) visitor_.hexadecimal("base", *e.base);
    number("size", e.size);
    bit("system_image", e.flags, image_flag_system);
    bit("machine_mismatch", e.flags, image_flag_machine_mismatch);
    number("signature_level", e.signature_level);
    number("signature_type", e.signature_type);
    flags(e.flags, {}, image_booleans);
    string("path", e.path);
  }
  void operator()(const registry_create_key_event& e) {
    outcome(e);
    if (e.disposition && *e.disposition != 0) {
      if (*e.disposition == 1 || *e.disposition == 2) {
        visitor_.word("disposition", *e.disposition == 1 ? "created" : "opened");
      } else {
        visitor_.word("disposition", fmt::format("0x{:x}", *e.disposition));
      }
    }
    access(e);
    flags(e.flags, registry_flags);
    string("key_path", e.key_path);
  }
  void operator()(const registry_open_key_event& e) {
    outcome(e);
    access(e);
    flags(e.flags, registry_flags);
    string("key_path", e.key_path);
  }
  void operator()(const registry_delete_key_event& e) {
    outcome(e);
    flags(e.flags, registry_flags);
    string("key_path", e.key_path);
  }
  void operator()(const registry_set_value_event& e) {
    outcome(e);
    flags(e.flags, registry_flags);
    string("key_path", e.key_path);
    string("value_name", e.value_name);
    if (e.value_type) {
      visitor_.word("value_type", *e.value_type < std::size(value_types) ? std::string(value_types[*e.value_type])
                                                                         : fmt::format("0x{:x}", *e.value_type));
    }
    if (!e.data) return;
    visitor_.data("data", *e.data);
    if (e.value_type && e.data->missing == missing_reason::none) data_by_type(*e.value_type, *e.data);
  }
  void operator()(const registry_delete_value_event& e) {
    outcome(e);
    flags(e.flags, registry_flags);
    string("key_path", e.key_path);
    string("value_name", e.value_name);
  }
  void operator()(const registry_rename_key_event& e) {
    outcome(e);
    flags(e.flags, registry_flags);
    string("key_path", e.key_path);
    string("new_name", e.new_name);
  }
  void operator()(const loss_event& e) {
    visitor_.ticks("first_time", e.first_time);
    visitor_.ticks("last_time", e.last_time);
    visitor_.number("events", e.events);
    visitor_.number("bytes", e.bytes);
    if (e.since_load) visitor_.boolean("since_load", true);
    if (e.by_client) visitor_.boolean("by_client", true);
    visitor_.begin_list(e.overwritten ? "overwritten" : "dropped");
    for (const loss_entry& entry : e.by_type()) {
      visitor_.begin_group({});
      visitor_.word("type", names_.name_of(entry.type));
      visitor_.number("events", entry.events);
      visitor_.end_group();
    }
    visitor_.end_list();
  }
  void operator()(const anchor_event& e) {
    visitor_.number("counter", e.counter);
    visitor_.number("frequency", e.frequency);
    visitor_.utc("utc", e.utc);
    visitor_.number("boot", event_.identity.boot);
  }
  void operator()(const epoch_event& e) {
    visitor_.number("epoch", e.epoch);
    visitor_.number("offset", e.offset);
    visitor_.number("first_counter", e.first_counter);
  }
  void operator()(const overdue_event& e) {
    visitor_.word("open_type", names_.name_of(static_cast<uint16_t>(std::min<uint32_t>(e.type, UINT16_MAX))));
    visitor_.number("open_cpu", e.cpu);
    visitor_.number("open_lane", e.lane);
    visitor_.number("open_position", e.position);
    visitor_.ticks("open_since", e.time);
    visitor_.duration("age", e.age);
    visitor_.number("pid", e.pid);
    visitor_.number("tid", e.tid);
  }
  void operator()(const type_declaration_event& e) {
    visitor_.word("name", e.declared->name);
    visitor_.number("own_type", e.declared->type);
    visitor_.number("version", e.declared->version);
    visitor_.begin_list("fields");
    for (const declared_field& field : e.declared->fields) {
      visitor_.begin_group({});
      visitor_.word("name", field.name);
      visitor_.word("kind", name_of(field.kind));
      visitor_.number("offset", field.offset);
      visitor_.number("size", field.size);
      visitor_.end_group();
    }
    visitor_.end_list();
  }
  void operator()(const own_event& e) {
    visitor_.number("own_type", e.layout->type);
    visitor_.begin_group("fields");
    for (size_t i = 0; i < e.values.size(); ++i) own(e.layout->fields[i], e.values[i]);
    visitor_.end_group();
  }
  void operator()(const unknown_event& e) { visitor_.bytes("payload", e.payload); }
  void operator()(const damaged_event& e) {
    visitor_.word("field", e.field);
    visitor_.word("what", e.what);
    visitor_.bytes("payload", e.payload);
  }

 private:
  void outcome(const registry_outcome_fields& e) {
    const bool known = e.flags && (*e.flags & registry_flag_no_outcome) == 0;
    if (e.status && known) visitor_.hexadecimal("status", static_cast<uint32_t>(*e.status));
  }
  void access(const registry_key_fields& e) {
    if (e.desired_access) visitor_.hexadecimal("desired_access", *e.desired_access);
  }
  // What the value's type says that the bytes are; only if they are that long.
  void data_by_type(uint32_t type, const bytes_value& data) {
    constexpr uint32_t sz = 1, expand_sz = 2, dword = 4, multi_sz = 7, qword = 11;
    if (type == sz || type == expand_sz || type == multi_sz) {
      string_value text;
      const size_t even = data.bytes.size() & ~size_t{1};
      const bool terminated = type != multi_sz && !data.truncated && even >= 2 && data.bytes[even - 2] == 0 &&
                              data.bytes[even - 1] == 0;
      text.text = data.bytes.first(terminated ? even - 2 : even);
      visitor_.string("data_string", text);
    } else if ((type == dword && data.bytes.size() == 4) || (type == qword && data.bytes.size() == 8)) {
      uint64_t value = 0;
      for (size_t i = data.bytes.size(); i-- > 0;) value = value << 8 | data.bytes[i];
      visitor_.number("data_number", value);
    }
  }
  template <class value>
  void number(std::string_view name, const std::optional<value>& v) {
    if (v) visitor_.number(name, *v);
  }
  void string(std::string_view name, const std::optional<string_value>& v) {
    if (v) visitor_.string(name, *v);
  }
  void bit(std::string_view name, const std::optional<uint32_t>& bits, uint32_t mask) {
    if (bits) visitor_.boolean(name, (*bits & mask) != 0);
  }
  // The names of the bits that are set; a bit that has no name here is given as its value.
  void flags(const std::optional<uint32_t>& bits, std::span<const flag_name> known, uint32_t booleans = 0) {
    if (!bits) return;
    std::array<std::string_view, 33> set;
    size_t count = 0;
    uint32_t rest = *bits & ~booleans;
    for (const flag_name& flag : known) {
      if ((rest & flag.bit) == 0) continue;
      set[count++] = flag.name;
      rest &= ~flag.bit;
    }
    std::string unknown;
    if (rest != 0) {
      unknown = fmt::format("0x{:x}", rest);
      set[count++] = unknown;
    }
    visitor_.names("flags", {set.data(), count});
  }
  void own(const declared_field& field, const own_value& value) {
    if (const auto* n = std::get_if<uint64_t>(&value)) {
      if (field.kind == field_kind::hexadecimal) {
        visitor_.hexadecimal(field.name, *n);
      } else {
        visitor_.number(field.name, *n);
      }
    } else if (const auto* s = std::get_if<int64_t>(&value)) {
      visitor_.signed_number(field.name, *s);
    } else if (const auto* text = std::get_if<string_value>(&value)) {
      visitor_.string(field.name, *text);
    } else if (const auto* raw = std::get_if<std::span<const uint8_t>>(&value)) {
      visitor_.bytes(field.name, *raw);
    }
  }

  const decoded_event& event_;
  const decoder& names_;
  field_visitor& visitor_;
};

}  // namespace

std::string_view title_of(const decoded_event& event) {
  if (std::holds_alternative<unknown_event>(event.body)) return "unknown";
  if (std::holds_alternative<damaged_event>(event.body)) return "damaged_record";
  if (const auto* own = std::get_if<own_event>(&event.body)) return own->layout->name;
  return name_of_type(event.type);
}

void visit_fields(const decoded_event& event, const decoder& names, field_visitor& visitor) {
  if (std::holds_alternative<unknown_event>(event.body) || std::holds_alternative<damaged_event>(event.body)) {
    visitor.number("record_type", event.type);
    visitor.number("version", event.version);
  }
  std::visit(walker(event, names, visitor), event.body);
}

}  // namespace sluice
