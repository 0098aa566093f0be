#include "producers/image_producer.h"

#include "producers/payload_strings.h"

namespace sluice {
namespace {

image_producer* running = nullptr;

constexpr ULONG_PTR notify_conflicting_architecture = 1;  // PS_IMAGE_NOTIFY_CONFLICTING_ARCHITECTURE: every image, also
                                                          // one of another machine type

}  // namespace

NTSTATUS image_producer::start(channel& to, const kernel_functions& functions) {
  PAGED_CODE();
  channel_ = &to;
  callbacks_.start();
  running = this;
  if (functions.PsSetLoadImageNotifyRoutineEx != nullptr) {
    const NTSTATUS status = functions.PsSetLoadImageNotifyRoutineEx(&on_notify, notify_conflicting_architecture);
    if (NT_SUCCESS(status)) registered_ = protocol::registration::ex;
    return status;
  }
  const NTSTATUS status = PsSetLoadImageNotifyRoutine(&on_notify);
  if (NT_SUCCESS(status)) registered_ = protocol::registration::plain;
  return status;
}

void image_producer::stop() {
  PAGED_CODE();
  if (registered_ == protocol::registration::none) return;
  callbacks_.end();
  (void)PsRemoveLoadImageNotifyRoutine(&on_notify);
  registered_ = protocol::registration::none;
  running = nullptr;
}

VOID NTAPI image_producer::on_notify(PUNICODE_STRING path, HANDLE pid, PIMAGE_INFO info) {
  image_producer& self = *running;
  const rundown_reference reference(self.callbacks_);
  if (reference) self.loaded(path, pid, *info);
}

void image_producer::loaded(const UNICODE_STRING* path, HANDLE pid, const IMAGE_INFO& info) {
  if (!channel_->is_on(event_type_image_load)) return;
  event_decision decision(channel_->filter(), event_type_image_load);
  if (!decision.wants(process_id_of(pid))) return;
  const kernel_string name(path, channel_->max_payload() - sizeof(image_load_payload));
  if (!decision.keeps_image(name.judged(), [&](key_hash& key) {
        key.add(process_id_of(pid));
        key.add(name.bytes, name.original_length);
      })) {
    return;
  }

  reservation record;
  if (!channel_->reserve_event(event_type_image_load, sizeof(image_load_payload) + name.stored_length, record)) return;
  auto& payload = *reinterpret_cast<image_load_payload*>(record.payload());
  payload.pid = process_id_of(pid);
  payload.flags = (info.SystemModeImage ? image_flag_system : 0) |
                  (info.MachineTypeMismatch ? image_flag_machine_mismatch : 0);
  payload.base = reinterpret_cast<uintptr_t>(info.ImageBase);
  payload.size = info.ImageSize;
  payload.signature_level = static_cast<uint8_t>(info.ImageSignatureLevel);
  payload.signature_type = static_cast<uint8_t>(info.ImageSignatureType);
  payload.reserved0 = 0;
  payload.reserved1 = 0;
  name.copy(record.payload(), sizeof payload, payload.path);
  record.commit();
}

}  // namespace sluice
