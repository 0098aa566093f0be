#include "kernel_port/sim/object.h"

#include <stdlib.h>

#include "kernel_port/sim/check.h"
#include "kernel_port/sim/implementation.h"
#include "kernel_port/sim/process.h"
#include "kernel_port/sim/registry_operations.h"

namespace sluice::sim {

_OBJECT_TYPE process_object_type{"Process", destroy_process_object};
_OBJECT_TYPE thread_object_type{"Thread", destroy_thread_object};
_OBJECT_TYPE file_object_type{"File", nullptr};
_OBJECT_TYPE device_object_type{"Device", nullptr};
_OBJECT_TYPE driver_object_type{"Driver", nullptr};
_OBJECT_TYPE event_object_type{"Event", nullptr};

void* create_object(_OBJECT_TYPE& type, size_t body_size) {
  internal_section section;
  void* memory = nullptr;
  if (posix_memalign(&memory, alignof(object_header), sizeof(object_header) + body_size) != 0)
    throw std::bad_alloc();
  memset(memory, 0, sizeof(object_header) + body_size);
  auto* header = new (memory) object_header;
  header->magic = object_magic;
  header->type = &type;
  header->references.store(1, std::memory_order_relaxed);
  return header + 1;
}

void reference_object(void* body) {
  object_header* header = header_of(body);
  if (header->magic != object_magic) {
    stop(bug::REFERENCE_BY_POINTER, 0, as_argument(body), 0, 0,
         "A reference to something that is no object.");
  }
  const int64_t before = header->references.fetch_add(1, std::memory_order_relaxed);
  if (before <= 0) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x3F, as_argument(body), 1, 0,
         "A reference to an object whose last reference has gone.");
  }
}

void dereference_object(void* body) {
  object_header* header = header_of(body);
  if (header->magic != object_magic) {
    stop(bug::REFERENCE_BY_POINTER, 0, as_argument(body), 0, 0,
         "An object was dereferenced once too often, or is none.");
  }
  const int64_t before = header->references.fetch_sub(1, std::memory_order_acq_rel);
  if (before <= 0) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x3F, as_argument(body), static_cast<uint64_t>(-1), 0,
         "An object was dereferenced once too often.");
  }
  if (before == 1) {
    internal_section section;
    if (header->type->destroy) header->type->destroy(body);
    header->magic = 0;
    free(header);
  }
}

HANDLE handle_table::insert(void* object, ACCESS_MASK access) {
  reference_object(object);
  internal_lock lock(mutex);
  next += 4;
  entries.emplace(next, entry{object, self().driver, access});
  return reinterpret_cast<HANDLE>(0xffffffff80000000u | next);  // kernel handles look like this
}

void* handle_table::reference(HANDLE handle, ACCESS_MASK* access) {
  internal_lock lock(mutex);
  const auto found = entries.find(reinterpret_cast<uint64_t>(handle) & 0x7fffffff);
  if (found == entries.end()) return nullptr;
  if (access) *access = found->second.access;
  reference_object(found->second.object);
  return found->second.object;
}

uint64_t handle_table::count() {
  internal_lock lock(mutex);
  return entries.size();
}

bool handle_table::close(HANDLE handle) {
  void* object = nullptr;
  {
    internal_lock lock(mutex);
    const auto found = entries.find(reinterpret_cast<uint64_t>(handle) & 0x7fffffff);
    if (found == entries.end()) return false;
    object = found->second.object;
    entries.erase(found);
  }
  if (header_of(object)->type == &key_object_type) tell_key_closing(static_cast<key_object*>(object));
  dereference_object(object);
  return true;
}

}  // namespace sluice::sim

using namespace sluice::sim;

namespace {
POBJECT_TYPE process_type = &process_object_type;
POBJECT_TYPE thread_type = &thread_object_type;
POBJECT_TYPE file_type = &file_object_type;
POBJECT_TYPE event_type = &event_object_type;
}  // namespace

extern "C" {

POBJECT_TYPE* PsProcessType = &process_type;
POBJECT_TYPE* PsThreadType = &thread_type;
POBJECT_TYPE* IoFileObjectType = &file_type;
POBJECT_TYPE* ExEventObjectType = &event_type;

NTSTATUS ObReferenceObjectByHandle(HANDLE Handle, ACCESS_MASK, POBJECT_TYPE ObjectType, KPROCESSOR_MODE,
                                   PVOID* Object, POBJECT_HANDLE_INFORMATION HandleInformation) {
  require_irql_at_most(PASSIVE_LEVEL, "ObReferenceObjectByHandle");
  *Object = nullptr;
  if (const NTSTATUS failed = the_machine().injected_failure(machine::failure::handle_reference); failed != STATUS_SUCCESS) return failed;
  void* object = nullptr;
  if (Handle == NtCurrentThread()) {
    reference_object(object = PsGetCurrentThread());
  } else if (Handle == NtCurrentProcess()) {
    reference_object(object = PsGetCurrentProcess());
  } else {
    object = the_machine().handles.reference(Handle);
  }
  if (!object) return STATUS_INVALID_HANDLE;
  if (ObjectType && header_of(object)->type != ObjectType) {
    dereference_object(object);
    return STATUS_OBJECT_TYPE_MISMATCH;
  }
  if (HandleInformation) *HandleInformation = {OBJ_KERNEL_HANDLE, STANDARD_RIGHTS_ALL};
  *Object = object;
  return STATUS_SUCCESS;
}

NTSTATUS ObReferenceObjectByPointer(PVOID Object, ACCESS_MASK, POBJECT_TYPE ObjectType, KPROCESSOR_MODE) {
  require_irql_at_most(DISPATCH_LEVEL, "ObReferenceObjectByPointer");
  if (ObjectType && header_of(Object)->type != ObjectType) return STATUS_OBJECT_TYPE_MISMATCH;
  reference_object(Object);
  return STATUS_SUCCESS;
}

NTSTATUS ObOpenObjectByPointer(PVOID Object, ULONG, PACCESS_STATE, ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType,
                               KPROCESSOR_MODE, PHANDLE Handle) {
  require_irql_at_most(PASSIVE_LEVEL, "ObOpenObjectByPointer");
  if (ObjectType && header_of(Object)->type != ObjectType) return STATUS_OBJECT_TYPE_MISMATCH;
  if (const NTSTATUS failed = the_machine().injected_failure(machine::failure::handle_opening); failed != STATUS_SUCCESS) return failed;
  *Handle = the_machine().handles.insert(Object, DesiredAccess);
  return STATUS_SUCCESS;
}

LONG_PTR ObfReferenceObject(PVOID Object) {
  require_irql_at_most(DISPATCH_LEVEL, "ObReferenceObject");
  reference_object(Object);
  return header_of(Object)->references.load(std::memory_order_relaxed);
}

LONG_PTR ObfDereferenceObject(PVOID Object) {
  require_irql_at_most(DISPATCH_LEVEL, "ObDereferenceObject");
  dereference_object(Object);
  return 0;
}

VOID ObDereferenceObjectDeferDelete(PVOID Object) {
  ObfDereferenceObject(Object);
}

NTSTATUS ZwClose(HANDLE Handle) {
  require_irql_at_most(PASSIVE_LEVEL, "ZwClose");
  if (!the_machine().handles.close(Handle)) {
    stop(bug::INVALID_KERNEL_HANDLE, as_argument(Handle), 0, 0, 0, "ZwClose of a handle that is not open.");
  }
  return STATUS_SUCCESS;
}
}
