// The injection device (injection.h). Events are raised by a thread of its own: the thread that Wine dispatches requests on stays free
// for the clients that read them.
#include <cstring>

#include "kernel_port/wine/device.h"
#include "kernel_port/wine/dpc.h"
#include "kernel_port/wine/injection.h"
#include "kernel_port/wine/notify.h"
#include "kernel_port/wine/pool.h"
#include "kernel_port/wine/port.h"
#include "kernel_port/wine/process_watch.h"
#include "kernel_port/wine/registry.h"
#include "kernel_port/wine/rules.h"

namespace sluice::wine {
namespace {

lock requests_lock;
LIST_ENTRY requests;
HANDLE filled = nullptr;

struct strings {
  UNICODE_STRING path, text;
  UNICODE_STRING* path_or_null;
  UNICODE_STRING* text_or_null;
  uint8_t* data;
};

UNICODE_STRING string_at(uint8_t* at, uint32_t bytes) {
  return {static_cast<USHORT>(bytes), static_cast<USHORT>(bytes), reinterpret_cast<PWCH>(at)};
}

bool is_sound(const injected_event& event, ULONG length) {
  if (event.bytes != length || length > max_injected_bytes || event.count == 0) return false;
  if (static_cast<uint32_t>(event.kind) >= injected_kind_count) return false;
  if (event.cpu != any_cpu && event.cpu >= cpu_count) return false;
  if (event.path_bytes % 2 != 0 || event.text_bytes % 2 != 0 || event.path_bytes > 0xfffe || event.text_bytes > 0xfffe) {
    return false;
  }
  const uint64_t whole = sizeof event + uint64_t{event.path_bytes} + event.text_bytes + event.data_bytes;
  return whole == length;
}

// False: nobody is registered for it.
bool raise_one(const injected_event& event, const strings& with, uint32_t n, bool& refused) {
  const uint32_t pid = event.pid + n * 4;
  switch (event.kind) {
    case injected_kind::process_create: {
      NTSTATUS status = STATUS_SUCCESS;
      const bool called = raise_process_create({pid, event.parent_pid, with.path_or_null, with.text_or_null}, status);
      refused = !NT_SUCCESS(status);
      return called;
    }
    case injected_kind::process_exit: return raise_process_exit(pid, static_cast<int32_t>(event.status));
    case injected_kind::thread_create:
      know_thread(event.tid + n * 4, event.pid, event.base + n * event.base_step);
      return raise_thread(event.pid, event.tid + n * 4, true);
    case injected_kind::thread_exit: {
      const bool called = raise_thread(event.pid, event.tid + n * 4, false);
      forget_thread(event.tid + n * 4);
      return called;
    }
    case injected_kind::image_load:
      return raise_image_load(with.path_or_null, event.pid, event.base + n * event.base_step, event.size,
                              (event.flags & injected_flag_system_image) != 0);
    default: {
      const bool elsewhere = (event.flags & injected_flag_address) != 0;
      const registry_operation what{event.kind,
                                    with.path_or_null,
                                    with.text_or_null,
                                    elsewhere ? reinterpret_cast<PVOID>(event.value) : with.data,
                                    elsewhere ? static_cast<uint32_t>(event.size) : event.data_bytes,
                                    event.value_type,
                                    static_cast<NTSTATUS>(event.status)};
      return raise_registry(what, refused);
    }
  }
}

void raise(PIRP irp) {
  auto* const buffer = static_cast<uint8_t*>(irp->AssociatedIrp.SystemBuffer);
  injected_event event;
  std::memcpy(&event, buffer, sizeof event);
  strings with{};
  with.path = string_at(buffer + sizeof event, event.path_bytes);
  with.text = string_at(buffer + sizeof event + event.path_bytes, event.text_bytes);
  with.path_or_null = (event.flags & injected_flag_no_path) != 0 ? nullptr : &with.path;
  with.text_or_null = (event.flags & injected_flag_no_text) != 0 ? nullptr : &with.text;
  with.data = buffer + sizeof event + event.path_bytes + event.text_bytes;
  raise_answer answer{injection_version, 0, 0, 0};
  for (uint32_t n = 0; n < event.count; ++n) {
    const stand_in where(event.current_pid, event.current_tid, event.cpu == any_cpu ? no_cpu : event.cpu);
    bool refused = false;
    if (!raise_one(event, with, n, refused)) continue;
    count_raised(static_cast<uint32_t>(event.kind));
    ++answer.raised;
    answer.refused += refused;
  }
  std::memcpy(buffer, &answer, sizeof answer);
  complete(irp, STATUS_SUCCESS, sizeof answer);
}

ULONG NTAPI serve(PVOID) {
  for (;;) {
    WaitForSingleObject(filled, for_ever);
    PIRP irp;
    {
      const locked held(requests_lock);
      irp = CONTAINING_RECORD(RemoveHeadList(&requests), IRP, Tail.Overlay.ListEntry);
    }
    raise(irp);
  }
}

NTSTATUS begin_raise(PIRP irp, ULONG in, ULONG out) {
  injected_event event;
  if (in < sizeof event || out < sizeof(raise_answer)) return complete(irp, STATUS_INVALID_PARAMETER);
  std::memcpy(&event, irp->AssociatedIrp.SystemBuffer, sizeof event);
  if (event.version != injection_version) return complete(irp, STATUS_REVISION_MISMATCH);
  if (!is_sound(event, in)) return complete(irp, STATUS_INVALID_PARAMETER);
  IoMarkIrpPending(irp);
  {
    const locked held(requests_lock);
    InsertTailList(&requests, &irp->Tail.Overlay.ListEntry);
  }
  ReleaseSemaphore(filled, 1, nullptr);
  return STATUS_PENDING;
}

NTSTATUS answer_counters(PIRP irp, ULONG out) {
  injection_counters answer{};
  if (out < sizeof answer) return complete(irp, STATUS_INVALID_PARAMETER);
  answer.version = injection_version;
  answer.cpu_count = cpu_count;
  for (uint32_t kind = 0; kind < injected_kind_count; ++kind) answer.raised[kind] = raised(kind);
  add_rule_counters(answer);
  answer.dpcs_run = dpcs_run();
  answer.pool_blocks = pool_blocks();
  add_port_counters(answer);
  std::memcpy(irp->AssociatedIrp.SystemBuffer, &answer, sizeof answer);
  return complete(irp, STATUS_SUCCESS, sizeof answer);
}

NTSTATUS choose_watch(PIRP irp, ULONG in) {
  watch_choice choice;
  if (in != sizeof choice) return complete(irp, STATUS_INVALID_PARAMETER);
  std::memcpy(&choice, irp->AssociatedIrp.SystemBuffer, sizeof choice);
  if (choice.version != injection_version) return complete(irp, STATUS_REVISION_MISMATCH);
  if (choice.processes > 1) return complete(irp, STATUS_INVALID_PARAMETER);
  watch_processes(choice.processes != 0);
  return complete(irp, STATUS_SUCCESS);
}

}  // namespace

NTSTATUS start_injection(PDRIVER_OBJECT driver, PDEVICE_OBJECT& device) {
  InitializeListHead(&requests);
  filled = CreateSemaphoreW(nullptr, 0, 0x7fffffff, nullptr);
  CreateThread(nullptr, 0, &serve, nullptr, 0, nullptr);
  return create_device(driver, unicode_literal(injection_device_name), unicode_literal(injection_link_name), device);
}

NTSTATUS dispatch_injection(PIRP irp) {
  const PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
  if (stack->MajorFunction != IRP_MJ_DEVICE_CONTROL) return complete(irp, STATUS_SUCCESS);
  const auto& request = stack->Parameters.DeviceIoControl;
  switch (request.IoControlCode) {
    case code_raise: return begin_raise(irp, request.InputBufferLength, request.OutputBufferLength);
    case code_counters: return answer_counters(irp, request.OutputBufferLength);
    case code_watch: return choose_watch(irp, request.InputBufferLength);
    default: return complete(irp, STATUS_INVALID_DEVICE_REQUEST);
  }
}

}  // namespace sluice::wine
