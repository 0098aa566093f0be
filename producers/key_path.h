// The path of a key object in NT form, as this kernel gives it: CmCallbackGetKeyObjectIDEx (Windows 8, given
// back here), CmCallbackGetKeyObjectID (Vista), else ObQueryNameString into pool (PASSIVE_LEVEL only). Up to
// APC_LEVEL, in a registry callback, for an object that the callback was given and that is valid.
#pragma once

#include "producers/pool.h"

namespace sluice {

class key_path {
 public:
  key_path(const kernel_functions& functions, LARGE_INTEGER cookie, PVOID object) : functions_(functions) {
    if (object == nullptr) return;
    if (functions.CmCallbackGetKeyObjectIDEx != nullptr) {
      if (!NT_SUCCESS(functions.CmCallbackGetKeyObjectIDEx(&cookie, object, nullptr, &name_, 0)))
        name_ = nullptr;
    } else if (functions.CmCallbackGetKeyObjectID != nullptr) {
      if (!NT_SUCCESS(functions.CmCallbackGetKeyObjectID(&cookie, object, nullptr, &name_))) name_ = nullptr;
    } else {
      query(object);
    }
  }
  ~key_path() {
    if (name_ != nullptr && functions_.CmCallbackGetKeyObjectIDEx != nullptr) {
      functions_.CmCallbackReleaseKeyObjectIDEx(name_);
    }
  }
  key_path(const key_path&) = delete;
  key_path& operator=(const key_path&) = delete;

  // Null: it could not be had.
  const UNICODE_STRING* get() const { return name_; }

 private:
  void query(PVOID object) {
    if (KeGetCurrentIrql() != PASSIVE_LEVEL) return;
    ULONG needed = 0;
    (void)ObQueryNameString(object, nullptr, 0, &needed);
    // Between the two calls the key can be renamed: then it stays without a path.
    if (needed == 0 || !room_.allocate(functions_, needed)) return;
    auto* const information = static_cast<POBJECT_NAME_INFORMATION>(room_.get());
    if (NT_SUCCESS(ObQueryNameString(object, information, needed, &needed))) name_ = &information->Name;
  }

  const kernel_functions& functions_;
  nonpaged_memory room_;
  PCUNICODE_STRING name_ = nullptr;
};

}  // namespace sluice
