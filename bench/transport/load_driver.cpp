#include "bench/transport/load_driver.h"

#include "kernel_port/driver/sensor.h"

namespace sluice::bench {
namespace {

struct load_event {
  uint64_t sequence;
  uint64_t due;
  uint8_t filler[load_payload_bytes - 2 * sizeof(uint64_t)];
};
static_assert(sizeof(load_event) == load_payload_bytes);
constexpr field_declaration fields[] = {SLUICE_FIELD(load_event, sequence, field_kind::unsigned_integer)};
constexpr own_type_definition definition = {"load", 1, fields, 1};

sensor* running = nullptr;
uint16_t type = 0;

void pause() {
  LARGE_INTEGER interval;
  interval.QuadPart = -200;  // 20 us
  KeDelayExecutionThread(KernelMode, FALSE, &interval);
}

const region_view<native_seam>& region_here() {
  return running->events().region(KeGetCurrentProcessorNumberEx(nullptr), lane_main);
}

}  // namespace

bool write_one(uint64_t sequence, uint64_t due) {
  const load_event event{sequence, due, {}};
  return running->events().write(type, 1, &event, sizeof event) == reserve_status::ok;
}

load_ring ring_of_load() {
  const region_view<native_seam>& ring = region_here();
  return {ring.producer->published.load(memory_order::relaxed), ring.consumer->consumed.load(memory_order::acquire)};
}

uint32_t room_of_load() {
  const ring_geometry& geometry = region_here().geometry;
  return geometry.capacity - geometry.critical_bytes;
}

uint64_t write_behind_reader(uint64_t first, uint64_t count) {
  constexpr uint64_t between_looks = 64;
  const region_view<native_seam>& ring = region_here();
  uint64_t dropped = 0;
  for (uint64_t i = 0; i < count; ++i) {
    if (i % between_looks == 0) {
      while (ring.producer->published.load(memory_order::relaxed) - ring.consumer->consumed.load(memory_order::relaxed) >
             ring.geometry.capacity / 2) {
        pause();
      }
    }
    dropped += write_one(first + i, 0) ? 0 : 1;
  }
  return dropped;
}

// The textbook.
namespace {

struct node {
  LIST_ENTRY link;
  textbook_event event;
};

struct {
  PDEVICE_OBJECT device;
  KSPIN_LOCK lock;
  LIST_ENTRY list;
  uint32_t count;
} textbook;

constexpr ULONG tag = 'txtT';

node* take_first() {
  const spin_lock_scope held(textbook.lock);
  if (IsListEmpty(&textbook.list)) return nullptr;
  --textbook.count;
  return CONTAINING_RECORD(RemoveHeadList(&textbook.list), node, link);
}

uint32_t waiting() {
  const spin_lock_scope held(textbook.lock);
  return textbook.count;
}

NTSTATUS NTAPI textbook_done(PDEVICE_OBJECT, PIRP irp) { return complete(irp, STATUS_SUCCESS); }

NTSTATUS NTAPI textbook_control(PDEVICE_OBJECT, PIRP irp) {
  const auto& request = IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl;
  if (request.IoControlCode != textbook_code_take) return complete(irp, STATUS_INVALID_DEVICE_REQUEST);
  uint8_t* const out = static_cast<uint8_t*>(irp->AssociatedIrp.SystemBuffer);
  uint32_t bytes = 0;
  while (request.OutputBufferLength - bytes >= sizeof(textbook_event)) {
    node* const first = take_first();
    if (first == nullptr) break;
    copy_bytes(out + bytes, &first->event, sizeof first->event);
    bytes += sizeof first->event;
    ExFreePoolWithTag(first, tag);
  }
  return complete(irp, STATUS_SUCCESS, bytes);
}

}  // namespace

void textbook_write(uint64_t sequence) {
  while (waiting() >= textbook_most) pause();
  node* const made = static_cast<node*>(ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED, sizeof(node), tag));
  if (made == nullptr) return;  // what such drivers do: nobody learns of it
  made->event.time = static_cast<uint64_t>(KeQueryPerformanceCounter(nullptr).QuadPart);
  const load_event event{sequence, 0, {}};
  copy_bytes(made->event.payload, &event, sizeof event);
  const spin_lock_scope held(textbook.lock);
  InsertTailList(&textbook.list, &made->link);
  ++textbook.count;
}

}  // namespace sluice::bench

extern "C" {

using namespace sluice::bench;

DRIVER_UNLOAD LoadDriverUnload;
VOID NTAPI LoadDriverUnload(PDRIVER_OBJECT) {
  PAGED_CODE();
  sluice::sensor::destroy(running);
  running = nullptr;
}

NTSTATUS NTAPI LoadDriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path) {
  driver->DriverUnload = &LoadDriverUnload;
  NTSTATUS status = sluice::sensor::create(driver, registry_path, running);
  if (!NT_SUCCESS(status)) return status;
  status = running->types().register_type(definition, type);
  if (!NT_SUCCESS(status)) LoadDriverUnload(driver);
  return status;
}

DRIVER_UNLOAD TextbookDriverUnload;
VOID NTAPI TextbookDriverUnload(PDRIVER_OBJECT) {
  PAGED_CODE();
  UNICODE_STRING link = sluice::unicode_literal(textbook_link);
  (void)IoDeleteSymbolicLink(&link);
  IoDeleteDevice(textbook.device);
  while (node* const first = take_first()) ExFreePoolWithTag(first, tag);
}

NTSTATUS NTAPI TextbookDriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING) {
  UNICODE_STRING name = sluice::unicode_literal(u"\\Device\\Textbook");
  UNICODE_STRING link = sluice::unicode_literal(textbook_link);
  KeInitializeSpinLock(&textbook.lock);
  InitializeListHead(&textbook.list);
  textbook.count = 0;
  NTSTATUS status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &textbook.device);
  if (!NT_SUCCESS(status)) return status;
  status = IoCreateSymbolicLink(&link, &name);
  if (!NT_SUCCESS(status)) {
    IoDeleteDevice(textbook.device);
    return status;
  }
  textbook.device->Flags |= DO_BUFFERED_IO;
  driver->DriverUnload = &TextbookDriverUnload;
  driver->MajorFunction[IRP_MJ_CREATE] = &textbook_done;
  driver->MajorFunction[IRP_MJ_CLEANUP] = &textbook_done;
  driver->MajorFunction[IRP_MJ_CLOSE] = &textbook_done;
  driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = &textbook_control;
  return STATUS_SUCCESS;
}

}  // extern "C"
