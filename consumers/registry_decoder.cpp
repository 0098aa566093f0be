#include "consumers/registry_decoder.h"

#include <cstddef>

namespace sluice {
namespace {

void read_outcome(payload_reader& in, registry_outcome_fields& event) {
  event.status = in.field<int32_t>(offsetof(registry_key_payload, outcome.status), "outcome.status");
  event.flags = in.field<uint32_t>(offsetof(registry_key_payload, outcome.flags), "outcome.flags");
}

template <class event_type>
event_type read_key(payload_reader& in) {
  using layout = registry_key_payload;
  event_type event;
  read_outcome(in, event);
  event.disposition = in.field<uint32_t>(offsetof(layout, disposition), "disposition");
  event.desired_access = in.field<uint32_t>(offsetof(layout, desired_access), "desired_access");
  event.key_path = in.string(offsetof(layout, key_path), "key_path");
  return event;
}

registry_set_value_event read_set_value(payload_reader& in) {
  using layout = registry_value_payload;
  registry_set_value_event event;
  read_outcome(in, event);
  event.value_type = in.field<uint32_t>(offsetof(layout, value_type), "value_type");
  event.key_path = in.string(offsetof(layout, key_path), "key_path");
  event.value_name = in.string(offsetof(layout, value_name), "value_name");
  event.data = in.bytes(offsetof(layout, data), "data");
  return event;
}

registry_delete_value_event read_delete_value(payload_reader& in) {
  using layout = registry_value_payload;
  registry_delete_value_event event;
  read_outcome(in, event);
  event.key_path = in.string(offsetof(layout, key_path), "key_path");
  event.value_name = in.string(offsetof(layout, value_name), "value_name");
  return event;
}

registry_rename_key_event read_rename_key(payload_reader& in) {
  using layout = registry_rename_payload;
  registry_rename_key_event event;
  read_outcome(in, event);
  event.key_path = in.string(offsetof(layout, key_path), "key_path");
  event.new_name = in.string(offsetof(layout, new_name), "new_name");
  return event;
}

}  // namespace

size_t registry_fixed_bytes_of(uint16_t type) {
  switch (type) {
    case event_type_registry_set_value:
    case event_type_registry_delete_value:
      return sizeof(registry_value_payload);
    case event_type_registry_rename_key:
      return sizeof(registry_rename_payload);
    default:
      return sizeof(registry_key_payload);
  }
}

event_body read_registry_event(payload_reader& in, uint16_t type) {
  switch (type) {
    case event_type_registry_create_key:
      return read_key<registry_create_key_event>(in);
    case event_type_registry_open_key:
      return read_key<registry_open_key_event>(in);
    case event_type_registry_delete_key:
      return read_key<registry_delete_key_event>(in);
    case event_type_registry_set_value:
      return read_set_value(in);
    case event_type_registry_delete_value:
      return read_delete_value(in);
    default:
      return read_rename_key(in);
  }
}

}  // namespace sluice
