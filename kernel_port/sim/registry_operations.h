// Operations on key objects, with their callbacks: what both the processes of the machine (registry.h) and
// drivers (Zw*) come down to. PASSIVE_LEVEL.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "kernel_port/sim/object.h"
#include "kernel_port/sim/paged_memory.h"
#include "kernel_port/sim/registry_tree.h"

namespace sluice::sim {

struct key_object {
  std::u16string path;                 // as it was opened
  internal_mutex mutex;                // guards name
  std::unique_ptr<paged_string> name;  // what CmCallbackGetKeyObjectID gives out; made when first asked for
};

extern _OBJECT_TYPE key_object_type;

key_object* make_key_object(std::u16string path);  // one reference
// A reference; null if the handle is none, or not to a key (status).
key_object* reference_key(HANDLE handle, NTSTATUS& status);
// What Object is where there is no valid one: not null, and nothing to touch.
PVOID invalid_key_object();

struct key_opening {
  bool create = false;
  key_object* root = nullptr;  // null: the name is absolute
  std::u16string name;
  ACCESS_MASK desired_access = 0;
  KPROCESSOR_MODE mode = KernelMode;
  std::optional<NTSTATUS> outcome = {};
  std::optional<uint32_t> disposition = {};
  void* disposition_address = nullptr;  // a user address; null: the caller wants none
};
// On success `opened` has a reference.
NTSTATUS open_key_object(const key_opening& opening, key_object*& opened, ULONG& disposition);
// The last handle goes: callbacks, then the reference.
void close_key_object(key_object* key);
void tell_key_closing(key_object* key);

// `data` may be a user address.
NTSTATUS set_key_value(key_object& key, std::u16string name, ULONG type, void* data, ULONG bytes,
                       std::optional<NTSTATUS> outcome);
NTSTATUS delete_key_value(key_object& key, std::u16string name, std::optional<NTSTATUS> outcome);
NTSTATUS query_key_value(key_object& key, std::u16string name, registry_tree::value& found,
                         std::optional<NTSTATUS> outcome);
NTSTATUS delete_key_object(key_object& key, std::optional<NTSTATUS> outcome);
NTSTATUS rename_key_object(key_object& key, std::u16string new_name, std::optional<NTSTATUS> outcome);
NTSTATUS enumerate_key_object(key_object& key, ULONG index, std::optional<NTSTATUS> outcome);

}  // namespace sluice::sim
