#include "producers/registry_producer.h"

#include "producers/key_path.h"
#include "producers/registry_payload.h"

namespace sluice {
namespace {

constexpr uint16_t first_type = event_type_registry_create_key;
constexpr uint16_t last_type = event_type_registry_rename_key;

// Altitudes of activity monitors lie between 360000 and 389999. Another driver may have ours: then one below.
constexpr char16_t altitude[] = u"385230.9";
constexpr uint32_t altitude_tries = 9;

}  // namespace

NTSTATUS registry_producer::start(channel& to, const kernel_functions& functions, PDRIVER_OBJECT driver,
                                  uint32_t operations, uint32_t data_bound) {
  PAGED_CODE();
  channel_ = &to;
  functions_ = &functions;
  data_bound_ = data_bound;
  if ((operations & registry_operations_all) == 0) return STATUS_SUCCESS;
  outcomes_ = functions.CmRegisterCallbackEx != nullptr;
  if (operations & registry_operation_create_key) {
    watch(event_type_registry_create_key, RegNtPreCreateKeyEx, RegNtPostCreateKeyEx);
  }
  if (operations & registry_operation_open_key) {
    watch(event_type_registry_open_key, RegNtPreOpenKeyEx, RegNtPostOpenKeyEx);
  }
  if (operations & registry_operation_set_value) {
    watch(event_type_registry_set_value, RegNtPreSetValueKey, RegNtPostSetValueKey);
  }
  if (operations & registry_operation_delete_key) {
    watch(event_type_registry_delete_key, RegNtPreDeleteKey, RegNtPostDeleteKey);
  }
  if (operations & registry_operation_delete_value) {
    watch(event_type_registry_delete_value, RegNtPreDeleteValueKey, RegNtPostDeleteValueKey);
  }
  if (operations & registry_operation_rename_key) {
    watch(event_type_registry_rename_key, RegNtPreRenameKey, RegNtPostRenameKey);
  }
  for (uint16_t type = first_type; type <= last_type; ++type) (void)bare(type);
  const uint32_t cpus = to.cpu_count();
  if (!store_.create(functions, cpus * 8 < 64 ? 64 : cpus * 8)) return STATUS_INSUFFICIENT_RESOURCES;
  callbacks_.start();
  register_callback(driver);
  if (registered_ == protocol::registration::none) store_.give_back_all();
  return STATUS_SUCCESS;
}

void registry_producer::watch(uint16_t type, uint32_t before, uint32_t after) {
  types_ |= uint64_t{1} << type;
  classes_ |= uint64_t{1} << before;
  if (outcomes_) classes_ |= uint64_t{1} << after;
}

// A refusal of every kind of registration leaves registered_ at none.
void registry_producer::register_callback(PDRIVER_OBJECT driver) {
  PAGED_CODE();
  LARGE_INTEGER cookie{};
  if (functions_->CmRegisterCallbackEx != nullptr) {
    char16_t text[sizeof altitude / sizeof altitude[0]];
    for (uint32_t i = 0; i < sizeof altitude / sizeof altitude[0]; ++i) text[i] = altitude[i];
    const UNICODE_STRING string = unicode_literal(text);
    NTSTATUS status = STATUS_FLT_INSTANCE_ALTITUDE_COLLISION;
    for (uint32_t i = 0; i < altitude_tries && status == STATUS_FLT_INSTANCE_ALTITUDE_COLLISION; ++i) {
      status = functions_->CmRegisterCallbackEx(&on_notify, &string, driver, this, &cookie, nullptr);
      --text[sizeof altitude / sizeof altitude[0] - 2];
    }
    if (NT_SUCCESS(status)) registered_ = protocol::registration::ex;
  }
  if (registered_ == protocol::registration::none &&
      NT_SUCCESS(CmRegisterCallback(&on_notify, this, &cookie))) {
    registered_ = protocol::registration::plain;
  }
  cookie_ = cookie;
  // Release: pairs with the look in on_notify. Callbacks that came before had no cookie to ask for a path
  // with.
  ready_.store(registered_ != protocol::registration::none ? 1 : 0, memory_order::release);
}

void registry_producer::stop() {
  PAGED_CODE();
  if (registered_ == protocol::registration::none) return;
  // New callbacks turn away and running ones are waited for; then the removal, whatever it promises itself.
  // An operation that is between its two callbacks then has nobody to tell: its capture is given up.
  callbacks_.end();
  (void)CmUnRegisterCallback(cookie_);
  registered_ = protocol::registration::none;
  store_.give_back_all();
}

NTSTATUS NTAPI registry_producer::on_notify(PVOID context, PVOID notify_class, PVOID information) {
  registry_producer& self = *static_cast<registry_producer*>(context);
  // Everything that the machine does to its registry comes by here, most of it reads: they cost this branch.
  const uintptr_t number = reinterpret_cast<uintptr_t>(notify_class);
  if (number >= 64 || (self.classes_ >> number & 1) == 0) [[likely]]
    return STATUS_SUCCESS;
  const rundown_reference reference(self.callbacks_);
  // Acquire: pairs with the end of register_callback.
  if (!reference || self.ready_.load(memory_order::acquire) == 0) return STATUS_SUCCESS;
  self.dispatch(static_cast<uint32_t>(number), information);
  return STATUS_SUCCESS;  // what happens is watched, never changed
}

void registry_producer::dispatch(uint32_t notify_class, PVOID information) {
  switch (notify_class) {
    case RegNtPreCreateKeyEx:
      opening_key(event_type_registry_create_key, *static_cast<REG_CREATE_KEY_INFORMATION*>(information));
      break;
    case RegNtPreOpenKeyEx:
      opening_key(event_type_registry_open_key, *static_cast<REG_OPEN_KEY_INFORMATION*>(information));
      break;
    case RegNtPreSetValueKey:
      setting_value(*static_cast<REG_SET_VALUE_KEY_INFORMATION*>(information));
      break;
    case RegNtPreDeleteKey:
      deleting_key(*static_cast<REG_DELETE_KEY_INFORMATION*>(information));
      break;
    case RegNtPreDeleteValueKey:
      deleting_value(*static_cast<REG_DELETE_VALUE_KEY_INFORMATION*>(information));
      break;
    case RegNtPreRenameKey:
      renaming_key(*static_cast<REG_RENAME_KEY_INFORMATION*>(information));
      break;
    default:
      ended(*static_cast<const REG_POST_OPERATION_INFORMATION*>(information));
      break;
  }
}

// REG_CREATE_KEY_INFORMATION_V1 (Windows 7) begins with the same members.
void registry_producer::opening_key(uint16_t type, REG_CREATE_KEY_INFORMATION& information) {
  event_decision decision(channel_->filter(), type);
  if (!wanted(type, decision)) return;
  const uint32_t bound = room_behind(sizeof(registry_key_payload));
  const key_path root(*functions_, cookie_, information.RootObject);
  const given_string name(information.CompleteName);
  const uint32_t root_length = root.get() != nullptr ? root.get()->Length : 0;
  registry_capture* const capture =
      store_.claim(type, static_cast<uint32_t>(sizeof(registry_key_payload)) + shorter(root_length, bound) +
                             static_cast<uint32_t>(sizeof(char16_t)) + shorter(name.length, bound));
  if (capture != nullptr) {
    payload_writer writer(*capture, sizeof(registry_key_payload));
    auto& payload = payload_of<registry_key_payload>(*capture);
    payload.desired_access = information.DesiredAccess;
    if (writer.append_path(root.get(), name, bound, payload.key_path)) {
      payload.outcome.flags |= registry_flag_relative_path;
    }
  }
  captured(capture, type, decision, information.CallContext);
}

void registry_producer::deleting_key(REG_DELETE_KEY_INFORMATION& information) {
  event_decision decision(channel_->filter(), event_type_registry_delete_key);
  if (!wanted(event_type_registry_delete_key, decision)) return;
  const uint32_t bound = room_behind(sizeof(registry_key_payload));
  const key_path path(*functions_, cookie_, information.Object);
  const uint32_t length = path.get() != nullptr ? shorter(path.get()->Length, bound) : 0;
  registry_capture* const capture =
      store_.claim(event_type_registry_delete_key, sizeof(registry_key_payload) + length);
  if (capture != nullptr) {
    payload_writer writer(*capture, sizeof(registry_key_payload));
    writer.append(path.get(), bound, payload_of<registry_key_payload>(*capture).key_path);
  }
  captured(capture, event_type_registry_delete_key, decision, information.CallContext);
}

void registry_producer::setting_value(REG_SET_VALUE_KEY_INFORMATION& information) {
  event_decision decision(channel_->filter(), event_type_registry_set_value);
  if (!wanted(event_type_registry_set_value, decision)) return;
  const uint32_t room = room_behind(sizeof(registry_value_payload));
  const key_path path(*functions_, cookie_, information.Object);
  const given_string name(information.ValueName);
  const uint32_t path_length = path.get() != nullptr ? shorter(path.get()->Length, room / 2) : 0;
  const uint32_t name_length = shorter(name.length, room / 4);
  const uint32_t data_bound = shorter(room - path_length - name_length, data_bound_);
  registry_capture* const capture = store_.claim(
      event_type_registry_set_value, static_cast<uint32_t>(sizeof(registry_value_payload)) + path_length +
                                         name_length + shorter(information.DataSize, data_bound));
  if (capture != nullptr) {
    payload_writer writer(*capture, sizeof(registry_value_payload));
    auto& payload = payload_of<registry_value_payload>(*capture);
    payload.value_type = information.Type;
    writer.append(path.get(), path_length, payload.key_path);
    writer.append(name, name_length, payload.value_name);
    writer.append_data(information.Data, information.DataSize, data_bound, payload.data);
  }
  captured(capture, event_type_registry_set_value, decision, information.CallContext);
}

void registry_producer::deleting_value(REG_DELETE_VALUE_KEY_INFORMATION& information) {
  event_decision decision(channel_->filter(), event_type_registry_delete_value);
  if (!wanted(event_type_registry_delete_value, decision)) return;
  const uint32_t room = room_behind(sizeof(registry_value_payload));
  const key_path path(*functions_, cookie_, information.Object);
  const given_string name(information.ValueName);
  const uint32_t path_length = path.get() != nullptr ? shorter(path.get()->Length, room / 2) : 0;
  const uint32_t name_length = shorter(name.length, room / 4);
  registry_capture* const capture =
      store_.claim(event_type_registry_delete_value,
                   static_cast<uint32_t>(sizeof(registry_value_payload)) + path_length + name_length);
  if (capture != nullptr) {
    payload_writer writer(*capture, sizeof(registry_value_payload));
    auto& payload = payload_of<registry_value_payload>(*capture);
    writer.append(path.get(), path_length, payload.key_path);
    writer.append(name, name_length, payload.value_name);
  }
  captured(capture, event_type_registry_delete_value, decision, information.CallContext);
}

void registry_producer::renaming_key(REG_RENAME_KEY_INFORMATION& information) {
  event_decision decision(channel_->filter(), event_type_registry_rename_key);
  if (!wanted(event_type_registry_rename_key, decision)) return;
  const uint32_t room = room_behind(sizeof(registry_rename_payload));
  const key_path path(*functions_, cookie_, information.Object);
  const given_string name(information.NewName);
  const uint32_t path_length = path.get() != nullptr ? shorter(path.get()->Length, room / 2) : 0;
  const uint32_t name_length = shorter(name.length, room / 2);
  registry_capture* const capture =
      store_.claim(event_type_registry_rename_key,
                   static_cast<uint32_t>(sizeof(registry_rename_payload)) + path_length + name_length);
  if (capture != nullptr) {
    payload_writer writer(*capture, sizeof(registry_rename_payload));
    auto& payload = payload_of<registry_rename_payload>(*capture);
    writer.append(path.get(), path_length, payload.key_path);
    writer.append(name, name_length, payload.new_name);
  }
  captured(capture, event_type_registry_rename_key, decision, information.CallContext);
}

// The second look at what a filter wants is at the capture: what is judged is what will be delivered, whatever the process
// does to its memory meanwhile.
bool registry_producer::keeps(registry_capture& capture, event_decision& decision) {
  const auto& payload = payload_of<registry_key_payload>(capture);
  const string_field& path = capture.type == event_type_registry_rename_key
                                 ? payload_of<registry_rename_payload>(capture).key_path
                             : capture.type == event_type_registry_set_value ||
                                     capture.type == event_type_registry_delete_value
                                 ? payload_of<registry_value_payload>(capture).key_path
                                 : payload.key_path;
  const bool known =
      (path.flags & string_flag_unavailable) == 0 && (payload.outcome.flags & registry_flag_relative_path) == 0;
  // A root and a name below it can be longer than a string_field tells: then the length is at its limit.
  const bool whole = path.length == path.original_length && path.length < longest_string;
  constexpr uint32_t identified_by = offsetof(registry_key_payload, outcome) + sizeof(registry_outcome);
  return decision.keeps_key({capture.payload() + path.offset, path.length, known, whole}, [&](key_hash& key) {
    key.add(capture.payload() + identified_by, capture.length - identified_by);
  });
}

// The operation goes on; its end finds the capture. Where there is no end to hear of, this is all there is to
// say.
void registry_producer::captured(registry_capture* capture, uint16_t type, event_decision& decision,
                                 PVOID& call_context) {
  if (capture == nullptr) capture = bare(type);
  if (!keeps(*capture, decision)) {
    if (capture != bare(type)) store_.give_back(capture);
    return;
  }
  if (outcomes_) {
    call_context = capture;
    return;
  }
  const bool may_have_created = type == event_type_registry_create_key;
  write(*capture, STATUS_SUCCESS,
        registry_flag_no_outcome | (may_have_created ? registry_flag_no_disposition : 0), 0);
  if (capture != bare(type)) store_.give_back(capture);
}

void registry_producer::ended(const REG_POST_OPERATION_INFORMATION& post) {
  auto* const capture = static_cast<registry_capture*>(post.CallContext);
  if (capture == nullptr) return;  // switched off when it began
  uint32_t flags = 0;
  uint32_t disposition = 0;
  if (capture->type == event_type_registry_create_key && post.Status == STATUS_SUCCESS) {
    // Where the caller wants it: possibly in its own memory.
    const auto* const create = static_cast<const REG_CREATE_KEY_INFORMATION*>(post.PreInformation);
    if (create->Disposition == nullptr ||
        !copy_from_user_memory(&disposition, create->Disposition, sizeof disposition)) {
      disposition = 0;
      flags = registry_flag_no_disposition;
    }
  }
  write(*capture, post.Status, flags, disposition);
  if (capture != bare(capture->type)) store_.give_back(capture);
}

void registry_producer::write(registry_capture& capture, int32_t status, uint32_t flags,
                              uint32_t disposition) {
  reservation record;
  if (!channel_->reserve_event(capture.type, capture.length, record)) return;
  copy_bytes(record.payload() + sizeof(event_context), capture.payload() + sizeof(event_context),
             capture.length - sizeof(event_context));
  auto& outcome =
      *reinterpret_cast<registry_outcome*>(record.payload() + offsetof(registry_key_payload, outcome));
  outcome.status = status;
  outcome.flags |= flags;
  if (capture.type == event_type_registry_create_key) {
    reinterpret_cast<registry_key_payload*>(record.payload())->disposition = disposition;
  }
  record.commit();
}

// Made by start(), and never changed by a callback.
registry_capture* registry_producer::bare(uint16_t type) {
  bare_capture& made = bare_[type - first_type];
  if (made.head.length != 0) return &made.head;
  made.head.type = type;
  const uint32_t fixed = type == event_type_registry_rename_key ? sizeof(registry_rename_payload)
                         : type == event_type_registry_set_value || type == event_type_registry_delete_value
                             ? sizeof(registry_value_payload)
                             : sizeof(registry_key_payload);
  payload_writer writer(made.head, fixed);
  const given_string none(nullptr);
  if (type == event_type_registry_rename_key) {
    auto& payload = payload_of<registry_rename_payload>(made.head);
    writer.append(none, 0, payload.key_path);
    writer.append(none, 0, payload.new_name);
  } else if (fixed == sizeof(registry_value_payload)) {
    auto& payload = payload_of<registry_value_payload>(made.head);
    writer.append(none, 0, payload.key_path);
    writer.append(none, 0, payload.value_name);
    if (type == event_type_registry_set_value) {
      payload.data = {fixed, 0, 0, string_flag_unavailable};
    }
  } else {
    writer.append(none, 0, payload_of<registry_key_payload>(made.head).key_path);
  }
  return &made.head;
}

}  // namespace sluice
