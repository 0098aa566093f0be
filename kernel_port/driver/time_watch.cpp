#include "kernel_port/driver/time_watch.h"

#include "producers/kernel_functions.h"

namespace sluice {

void time_watch::start(routine when_set, void* context) {
  PAGED_CODE();
  when_set_ = when_set;
  context_ = context;
  UNICODE_STRING name = unicode_literal(u"\\Callback\\SetSystemTime");
  OBJECT_ATTRIBUTES attributes;
  InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE, nullptr, nullptr);
  if (!NT_SUCCESS(ExCreateCallback(&object_, &attributes, FALSE, TRUE))) {
    object_ = nullptr;
    return;
  }
  registration_ = ExRegisterCallback(object_, &notified, this);
}

void time_watch::stop() {
  PAGED_CODE();
  if (registration_ != nullptr) ExUnregisterCallback(registration_);
  if (object_ != nullptr) ObDereferenceObject(object_);
  registration_ = nullptr;
  object_ = nullptr;
}

VOID NTAPI time_watch::notified(PVOID context, PVOID, PVOID) {
  const time_watch& self = *static_cast<time_watch*>(context);
  self.when_set_(self.context_);
}

}  // namespace sluice
