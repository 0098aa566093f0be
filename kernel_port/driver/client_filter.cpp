#include "kernel_port/driver/client_filter.h"

#include "kernel_port/driver/protocol.h"

namespace sluice {
namespace {

// What stands at `offset` of the payload; zeros where a payload of an older version is shorter.
template <class field>
field field_at(const record_view<native_seam>& record, size_t offset) {
  field value{};
  if (offset + sizeof value <= record.payload_length()) copy_bytes(&value, record.payload() + offset, sizeof value);
  return value;
}

bool has_subject(uint16_t type) { return type <= event_type_image_load; }

bool is_registry(uint16_t type) {
  return type >= event_type_registry_create_key && type <= event_type_registry_rename_key;
}

// Where the payloads have what is asked for.
static_assert(offsetof(process_create_payload, pid) == sizeof(event_context));
static_assert(offsetof(process_exit_payload, pid) == sizeof(event_context));
static_assert(offsetof(thread_payload, pid) == sizeof(event_context));
static_assert(offsetof(image_load_payload, pid) == sizeof(event_context));
constexpr uint32_t subject_offset = sizeof(event_context);

uint32_t key_path_offset(uint16_t type) {
  switch (type) {
    case event_type_registry_set_value:
    case event_type_registry_delete_value: return offsetof(registry_value_payload, key_path);
    case event_type_registry_rename_key: return offsetof(registry_rename_payload, key_path);
    default: return offsetof(registry_key_payload, key_path);
  }
}

bool is_same(const record_identity& a, const record_identity& b) {
  return a.position == b.position && a.cpu == b.cpu && a.lane == b.lane;
}

}  // namespace

NTSTATUS client_filter::create(const kernel_functions& functions, event_filter& driver, uint64_t now,
                               const void* message_untrusted, uint32_t bytes, filter_check& check, client_filter*& made) {
  PAGED_CODE();
  void* const memory = allocate_nonpaged(functions, sizeof(client_filter));
  if (memory == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
  client_filter* const filter = new (in_place{}, memory) client_filter();
  filter->since_ = now;
  const NTSTATUS status = filter->compile(driver, message_untrusted, bytes, check);
  if (NT_SUCCESS(status) && check.error == filter_error::none) {
    made = filter;
  } else {
    destroy(filter);
  }
  return status;
}

void client_filter::destroy(client_filter* filter) {
  PAGED_CODE();
  if (filter == nullptr) return;
  filter->~client_filter();
  ExFreePoolWithTag(filter, pool_tag);
}

NTSTATUS client_filter::compile(event_filter& driver, const void* message_untrusted, uint32_t bytes, filter_check& check) {
  PAGED_CODE();
  if (bytes > protocol::max_client_filter_bytes) {
    check = {filter_error::total_bytes, offsetof(filter_header, total_bytes)};
    return STATUS_SUCCESS;
  }
  const NTSTATUS status = driver.compile(message_untrusted, bytes, compiled_, check);
  if (!NT_SUCCESS(status) || check.error != filter_error::none) return status;
  const filter_header& header = compiled_.header();
  if (header.repeat_types != 0) {
    check = {filter_error::not_for_clients, offsetof(filter_header, repeat_types)};
  } else if (header.process_rate_types != 0) {
    check = {filter_error::not_for_clients, offsetof(filter_header, process_rate_types)};
  } else if (header.type_rates.count != 0) {
    check = {filter_error::not_for_clients, offsetof(filter_header, type_rates)};
  }
  return status;
}

bool client_filter::wants(const record_view<native_seam>& record) {
  const uint16_t type = record.type();
  if (compiled_.header().processes.count != 0) follow(record);
  if (!compiled_.wants_type(type)) return false;
  if (type >= first_own_type) return true;
  if (compiled_.judges_processes(type)) {
    const bool about = has_subject(type) && wants_process(field_at<uint32_t>(record, subject_offset));
    if (!about && !wants_process(field_at<event_context>(record, 0).pid)) return false;
  }
  if (type == event_type_process_create) {
    return keeps_path(compiled_.images(), record, offsetof(process_create_payload, image_path), true);
  }
  if (type == event_type_image_load) {
    return keeps_path(compiled_.images(), record, offsetof(image_load_payload, path), true);
  }
  if (is_registry(type)) {
    const uint32_t flags = field_at<registry_outcome>(record, sizeof(event_context)).flags;
    return keeps_path(compiled_.keys(), record, key_path_offset(type), (flags & registry_flag_relative_path) == 0);
  }
  return true;
}

void client_filter::follow(const record_view<native_seam>& record) {
  const record_identity identity{0, record.position, record.cpu, record.lane};
  if (is_same(identity, followed_)) return;
  followed_ = identity;
  process_verdicts& verdicts = compiled_.verdicts();
  if (exited_pid_ != 0) {
    verdicts.remove(exited_pid_);
    exited_pid_ = 0;
  }
  if (record.time <= since_) return;  // the families that it began with know of it
  const uint16_t type = record.type();
  const uint32_t pid = field_at<uint32_t>(record, subject_offset);
  if (type == event_type_process_exit) {
    exited_pid_ = pid;
  } else if (type == event_type_process_create) {
    const uint32_t parent = field_at<uint32_t>(record, offsetof(process_create_payload, parent_pid));
    const process_verdict inherited = verdicts.find(parent).inherited;
    if (inherited == process_verdict::none) {
      verdicts.remove(pid);
    } else if (!verdicts.put(pid, {inherited, inherited})) {
      ++untracked_;
    }
  }
}

bool client_filter::keeps_path(const filter_paths& paths, const record_view<native_seam>& record, uint32_t field,
                               bool known) const {
  if (paths.empty() || !known) return true;
  const string_field path = field_at<string_field>(record, field);
  if ((path.flags & string_flag_unavailable) != 0) return true;
  if (path.offset % 2 != 0 || uint32_t{path.offset} + path.length > record.payload_length()) return true;
  return paths.keeps(record.payload() + path.offset, path.length, (path.flags & string_flag_truncated) == 0);
}

NTSTATUS client_filter::read(void* buffer, uint32_t size, uint32_t& written) const {
  const filter_state state{0, compiled_.message_bytes(), untracked_};
  if (size < sizeof state) return STATUS_BUFFER_TOO_SMALL;
  copy_bytes(buffer, &state, sizeof state);
  written = sizeof state;
  if (size - sizeof state < state.message_bytes) return STATUS_BUFFER_OVERFLOW;
  copy_bytes(static_cast<uint8_t*>(buffer) + sizeof state, compiled_.message(), state.message_bytes);
  written += state.message_bytes;
  return STATUS_SUCCESS;
}

}  // namespace sluice
