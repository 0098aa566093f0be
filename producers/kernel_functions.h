// The kernel functions that not every kernel has, looked up once at start. Up to DISPATCH_LEVEL once resolved.
#pragma once

#include "kernel_port/nt/nt.h"

namespace sluice {

struct kernel_functions {
  // Process notify routines: Windows 10 1703, Vista SP1. Both need the image linked with FORCE_INTEGRITY.
  using set_process_notify_ex2 = NTSTATUS(NTAPI*)(PSCREATEPROCESSNOTIFYTYPE type, PVOID routine, BOOLEAN remove);
  using set_process_notify_ex = NTSTATUS(NTAPI*)(PCREATE_PROCESS_NOTIFY_ROUTINE_EX routine, BOOLEAN remove);
  // Image notify routine with flags: Windows 10 1709.
  using set_image_notify_ex = NTSTATUS(NTAPI*)(PLOAD_IMAGE_NOTIFY_ROUTINE routine, ULONG_PTR flags);
  // Unique over reused process ids: Windows 10 1703.
  using get_process_start_key = ULONGLONG(NTAPI*)(PEPROCESS process);
  // UTC finer than the timer tick: Windows 8.
  using query_system_time_precise = VOID(NTAPI*)(PLARGE_INTEGER time);
  // Registry callbacks with an altitude: Vista, as are what a callback is told of the outcome, and its own context.
  using register_registry_callback_ex = NTSTATUS(NTAPI*)(PEX_CALLBACK_FUNCTION routine, PCUNICODE_STRING altitude,
                                                         PVOID driver, PVOID context, PLARGE_INTEGER cookie,
                                                         PVOID reserved);
  // The path of a key object: Vista, the name being the system's; Windows 8, to be released.
  using get_key_object_id = NTSTATUS(NTAPI*)(PLARGE_INTEGER cookie, PVOID object, PULONG_PTR id, PCUNICODE_STRING* name);
  using get_key_object_id_ex = NTSTATUS(NTAPI*)(PLARGE_INTEGER cookie, PVOID object, PULONG_PTR id,
                                                PCUNICODE_STRING* name, ULONG flags);
  using release_key_object_id_ex = VOID(NTAPI*)(PCUNICODE_STRING name);
  // Processors that are added while running: Vista.
  using register_processor_callback = PVOID(NTAPI*)(PPROCESSOR_CALLBACK_FUNCTION routine, PVOID context, ULONG flags);
  using deregister_processor_callback = VOID(NTAPI*)(PVOID handle);
  // Zeroed pool: Windows 10 2004.
  using allocate_pool2 = PVOID(NTAPI*)(ULONG64 flags, SIZE_T bytes, ULONG tag);

  set_process_notify_ex2 PsSetCreateProcessNotifyRoutineEx2;
  set_process_notify_ex PsSetCreateProcessNotifyRoutineEx;
  set_image_notify_ex PsSetLoadImageNotifyRoutineEx;
  get_process_start_key PsGetProcessStartKey;
  query_system_time_precise KeQuerySystemTimePrecise;
  register_registry_callback_ex CmRegisterCallbackEx;
  get_key_object_id CmCallbackGetKeyObjectID;
  get_key_object_id_ex CmCallbackGetKeyObjectIDEx;
  release_key_object_id_ex CmCallbackReleaseKeyObjectIDEx;
  register_processor_callback KeRegisterProcessorChangeCallback;
  deregister_processor_callback KeDeregisterProcessorChangeCallback;
  allocate_pool2 ExAllocatePool2;
};

// PASSIVE_LEVEL. What the kernel lacks stays null.
SLUICE_INIT_CODE _IRQL_requires_(PASSIVE_LEVEL) void resolve_kernel_functions(kernel_functions& functions);

}  // namespace sluice
