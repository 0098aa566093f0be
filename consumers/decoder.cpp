#include "consumers/decoder.h"

#include <algorithm>
#include <cstddef>

#include "consumers/payload_reader.h"
#include "consumers/registry_decoder.h"

namespace sluice {
namespace {

process_create_event read_process_create(payload_reader& in) {
  using layout = process_create_payload;
  process_create_event event;
  event.pid = in.field<uint32_t>(offsetof(layout, pid), "pid");
  event.parent_pid = in.field<uint32_t>(offsetof(layout, parent_pid), "parent_pid");
  event.creating_pid = in.field<uint32_t>(offsetof(layout, creating_pid), "creating_pid");
  event.creating_tid = in.field<uint32_t>(offsetof(layout, creating_tid), "creating_tid");
  event.start_key = in.field<uint64_t>(offsetof(layout, start_key), "start_key");
  event.flags = in.field<uint32_t>(offsetof(layout, flags), "flags");
  event.image_path = in.string(offsetof(layout, image_path), "image_path");
  event.command_line = in.string(offsetof(layout, command_line), "command_line");
  return event;
}

process_exit_event read_process_exit(payload_reader& in) {
  using layout = process_exit_payload;
  process_exit_event event;
  event.pid = in.field<uint32_t>(offsetof(layout, pid), "pid");
  event.exit_status = in.field<int32_t>(offsetof(layout, exit_status), "exit_status");
  event.start_key = in.field<uint64_t>(offsetof(layout, start_key), "start_key");
  event.flags = in.field<uint32_t>(offsetof(layout, flags), "flags");
  return event;
}

template <class event_type>
event_type read_thread(payload_reader& in) {
  using layout = thread_payload;
  event_type event;
  event.pid = in.field<uint32_t>(offsetof(layout, pid), "pid");
  event.tid = in.field<uint32_t>(offsetof(layout, tid), "tid");
  event.creator_pid = in.field<uint32_t>(offsetof(layout, creator_pid), "creator_pid");
  event.creator_tid = in.field<uint32_t>(offsetof(layout, creator_tid), "creator_tid");
  event.start_address = in.field<uint64_t>(offsetof(layout, start_address), "start_address");
  event.flags = in.field<uint32_t>(offsetof(layout, flags), "flags");
  return event;
}

image_load_event read_image_load(payload_reader& in) {
  using layout = image_load_payload;
  image_load_event event;
  event.pid = in.field<uint32_t>(offsetof(layout, pid), "pid");
  event.flags = in.field<uint32_t>(offsetof(layout, flags), "flags");
  event.base = in.field<uint64_t>(offsetof(layout, base), "base");
  event.size = in.field<uint64_t>(offsetof(layout, size), "size");
  event.signature_level = in.field<uint8_t>(offsetof(layout, signature_level), "signature_level");
  event.signature_type = in.field<uint8_t>(offsetof(layout, signature_type), "signature_type");
  event.path = in.string(offsetof(layout, path), "path");
  return event;
}

// The records that carry the stream itself have no older version: all of their fields must be there.
loss_event read_loss(payload_reader& in, bool since_load, bool by_client) {
  using layout = loss_payload;
  loss_event event;
  event.since_load = since_load;
  event.by_client = by_client;
  event.first_time = in.field<uint64_t>(offsetof(layout, first_time), "first_time").value_or(0);
  event.last_time = in.field<uint64_t>(offsetof(layout, last_time), "last_time").value_or(0);
  event.bytes = in.field<uint64_t>(offsetof(layout, bytes), "bytes").value_or(0);
  event.events = in.field<uint64_t>(offsetof(layout, events), "events").value_or(0);
  const uint32_t entries = in.field<uint32_t>(offsetof(layout, entry_count), "entry_count").value_or(0);
  const uint32_t cause = in.field<uint32_t>(offsetof(layout, cause), "cause").value_or(0);
  if (cause > static_cast<uint32_t>(loss_cause::overwritten)) in.damage("cause", fmt::format("{} is no cause", cause));
  event.overwritten = cause == static_cast<uint32_t>(loss_cause::overwritten);
  if (in.damaged()) return event;
  const size_t room = (in.payload().size() - sizeof(layout)) / sizeof(loss_entry);
  if (entries > event.entries.size() || entries > room) {
    in.damage("entry_count", fmt::format("{} entries do not fit in a payload of {} bytes", entries, in.payload().size()));
    return event;
  }
  uint64_t sum = 0;
  for (uint32_t i = 0; i < entries; ++i) {
    const loss_entry entry = *in.field<loss_entry>(sizeof(layout) + i * sizeof(loss_entry), "entries");
    if (i != 0 && entry.type <= event.entries[i - 1].type) {
      in.damage("entries", fmt::format("entry {}: type {} after type {}", i, entry.type, event.entries[i - 1].type));
      return event;
    }
    event.entries[i] = entry;
    sum += entry.events;
  }
  event.entry_count = entries;
  if (sum != event.events) in.damage("events", fmt::format("{} events, but {} by type", event.events, sum));
  return event;
}

anchor_event read_anchor(payload_reader& in) {
  using layout = anchor_payload;
  anchor_event event;
  event.counter = in.field<uint64_t>(offsetof(layout, counter), "counter").value_or(0);
  event.frequency = in.field<uint64_t>(offsetof(layout, frequency), "frequency").value_or(0);
  event.utc = in.field<uint64_t>(offsetof(layout, utc), "utc").value_or(0);
  if (event.frequency == 0) in.damage("frequency", "0 ticks per second");
  return event;
}

epoch_event read_epoch(payload_reader& in) {
  using layout = epoch_payload;
  epoch_event event;
  event.epoch = in.field<uint32_t>(offsetof(layout, epoch), "epoch").value_or(0);
  event.offset = in.field<uint64_t>(offsetof(layout, offset), "offset").value_or(0);
  event.first_counter = in.field<uint64_t>(offsetof(layout, first_counter), "first_counter").value_or(0);
  return event;
}

overdue_event read_overdue(payload_reader& in) {
  using layout = overdue_payload;
  overdue_event event;
  event.position = in.field<uint64_t>(offsetof(layout, position), "position").value_or(0);
  event.time = in.field<uint64_t>(offsetof(layout, time), "time").value_or(0);
  event.age = in.field<uint64_t>(offsetof(layout, age), "age").value_or(0);
  event.type = in.field<uint32_t>(offsetof(layout, type), "type").value_or(0);
  event.cpu = in.field<uint16_t>(offsetof(layout, cpu), "cpu").value_or(0);
  event.lane = in.field<uint8_t>(offsetof(layout, lane), "lane").value_or(0);
  event.pid = in.field<uint32_t>(offsetof(layout, pid), "pid").value_or(0);
  event.tid = in.field<uint32_t>(offsetof(layout, tid), "tid").value_or(0);
  return event;
}

own_value read_number(payload_reader& in, const declared_field& field) {
  uint64_t value = 0;
  for (uint16_t i = 0; i < field.size; ++i) {
    const std::optional<uint8_t> byte = in.field<uint8_t>(static_cast<size_t>(field.offset) + i, field.name);
    if (!byte) return std::monostate{};
    value |= static_cast<uint64_t>(*byte) << (8 * i);
  }
  if (field.kind != field_kind::signed_integer) return value;
  const unsigned unused = 64 - 8u * field.size;
  return static_cast<int64_t>(value << unused) >> unused;
}

own_value read_own_value(payload_reader& in, const declared_field& field) {
  switch (field.kind) {
    case field_kind::unsigned_integer:
    case field_kind::signed_integer:
    case field_kind::hexadecimal: return read_number(in, field);
    case field_kind::utf16_string: {
      const std::optional<string_value> value = in.string(field.offset, field.name);
      return value ? own_value(*value) : own_value();
    }
    case field_kind::bytes: break;
  }
  // Raw bytes, and kinds that a newer driver invented.
  const size_t end = static_cast<size_t>(field.offset) + field.size;
  if (!in.field<uint8_t>(end - 1, field.name)) return std::monostate{};
  return in.payload().subspan(field.offset, field.size);
}

size_t fixed_bytes_of(const declared_type& layout) {
  size_t end = 0;
  for (const declared_field& field : layout.fields) end = std::max<size_t>(end, field.offset + size_t{field.size});
  return end;
}

size_t fixed_bytes_of(uint16_t type) {
  switch (type) {
    case record_type_loss: return sizeof(loss_payload);
    case record_type_anchor: return sizeof(anchor_payload);
    case record_type_overdue: return sizeof(overdue_payload);
    case record_type_epoch: return sizeof(epoch_payload);
    case event_type_process_create: return sizeof(process_create_payload);
    case event_type_process_exit: return sizeof(process_exit_payload);
    case event_type_thread_create:
    case event_type_thread_exit: return sizeof(thread_payload);
    case event_type_image_load: return sizeof(image_load_payload);
    default: return is_registry_event(type) ? registry_fixed_bytes_of(type) : 0;
  }
}

bool is_notify_event(uint16_t type) { return type >= event_type_process_create && type <= event_type_registry_rename_key; }

}  // namespace

std::string_view name_of_type(uint16_t type) {
  switch (type) {
    case record_type_loss: return "loss";
    case record_type_anchor: return "anchor";
    case record_type_type_declaration: return "type_declaration";
    case record_type_overdue: return "overdue";
    case record_type_epoch: return "epoch";
    case event_type_process_create: return "process_create";
    case event_type_process_exit: return "process_exit";
    case event_type_thread_create: return "thread_create";
    case event_type_thread_exit: return "thread_exit";
    case event_type_image_load: return "image_load";
    case event_type_registry_create_key: return "registry_create_key";
    case event_type_registry_open_key: return "registry_open_key";
    case event_type_registry_set_value: return "registry_set_value";
    case event_type_registry_delete_key: return "registry_delete_key";
    case event_type_registry_delete_value: return "registry_delete_value";
    case event_type_registry_rename_key: return "registry_rename_key";
    default: return {};
  }
}

decoded_event decoder::decode(const delivered_record& record) {
  decoded_event event;
  event.identity = record.identity;
  event.time = record.time;
  event.type = record.type;
  event.version = record.version;
  event.late = record.late;
  const std::span<const uint8_t> payload(record.payload, record.payload_length);

  const std::shared_ptr<const declared_type>& layout = types_.find(record.type);
  const bool older = record.version < (layout ? layout->version : event_version);
  const bool tolerant = older && (layout || is_notify_event(record.type));
  payload_reader in(payload, tolerant ? 0 : (layout ? fixed_bytes_of(*layout) : fixed_bytes_of(record.type)));

  if (is_notify_event(record.type)) {
    event.context_pid = in.field<uint32_t>(offsetof(event_context, pid), "context.pid");
    event.context_tid = in.field<uint32_t>(offsetof(event_context, tid), "context.tid");
  }
  switch (record.type) {
    case event_type_process_create: event.body = read_process_create(in); break;
    case event_type_process_exit: event.body = read_process_exit(in); break;
    case event_type_thread_create: event.body = read_thread<thread_create_event>(in); break;
    case event_type_thread_exit: event.body = read_thread<thread_exit_event>(in); break;
    case event_type_image_load: event.body = read_image_load(in); break;
    case record_type_loss: event.body = read_loss(in, record.figures, record.client_loss); break;
    case record_type_anchor: event.body = read_anchor(in); break;
    case record_type_overdue: event.body = read_overdue(in); break;
    case record_type_epoch: event.body = read_epoch(in); break;
    case record_type_type_declaration: {
      auto learned = types_.learn(payload);
      if (auto* wrong = std::get_if<declaration_error>(&learned)) {
        in.damage(wrong->field, std::move(wrong->what));
      } else {
        event.body = type_declaration_event{std::get<std::shared_ptr<const declared_type>>(std::move(learned))};
      }
      break;
    }
    case record_type_invalid: in.damage("type", "0 is not a type"); break;
    default:
      if (is_registry_event(record.type)) {
        event.body = read_registry_event(in, record.type);
      } else if (layout) {
        own_event own;
        own.layout = layout;
        own.values.reserve(layout->fields.size());
        for (const declared_field& field : layout->fields) own.values.push_back(read_own_value(in, field));
        event.body = std::move(own);
      } else {
        event.body = unknown_event{payload};
      }
  }
  if (in.damaged()) {
    damaged_event damage = *in.damaged();
    // An own field's name lives in its layout, which a later declaration may replace.
    if (layout) damage.layout = layout;
    event.body = std::move(damage);
  }
  return event;
}

std::string decoder::name_of(uint16_t type) const {
  if (const std::string_view name = name_of_type(type); !name.empty()) return std::string(name);
  if (const auto& own = types_.find(type)) return own->name;
  return fmt::format("type_{}", type);
}

std::string describe_damage(const decoded_event& event, const decoder& names) {
  const auto* damage = std::get_if<damaged_event>(&event.body);
  if (damage == nullptr) return {};
  return fmt::format("damaged {} record on cpu {}, lane {}, position {}, field {}: {}", names.name_of(event.type),
                     event.identity.cpu, event.identity.lane, event.identity.position, damage->field, damage->what);
}

}  // namespace sluice
