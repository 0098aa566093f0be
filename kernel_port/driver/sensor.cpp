#include "kernel_port/driver/sensor.h"

namespace sluice {
namespace {

constexpr uint64_t bit(uint16_t type) { return uint64_t{1} << type; }

// Process, thread and driver-image events, and what describes the stream itself, may use the part of the ring that a flood
// of other events cannot take. Image loads of processes come by the thousand: they are ordinary.
constexpr uint64_t critical_types = bit(record_type_loss) | bit(record_type_anchor) | bit(record_type_type_declaration) |
                                    bit(record_type_overdue) | bit(record_type_epoch) | bit(event_type_process_create) |
                                    bit(event_type_process_exit) | bit(event_type_thread_create) |
                                    bit(event_type_thread_exit);

// What counts as a step back of the clock, with what the margin of the merge adds.
constexpr uint32_t least_step_back_microseconds = 10000;

constexpr uint64_t registry_types = bit(event_type_registry_create_key) | bit(event_type_registry_open_key) |
                                    bit(event_type_registry_set_value) | bit(event_type_registry_delete_key) |
                                    bit(event_type_registry_delete_value) | bit(event_type_registry_rename_key);

constexpr uint64_t stream_types = bit(record_type_loss) | bit(record_type_anchor) | bit(record_type_type_declaration) |
                                  bit(record_type_overdue) | bit(record_type_epoch);

}  // namespace

NTSTATUS sensor::create(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path, sensor*& created) {
  PAGED_CODE();
  created = nullptr;
  kernel_functions functions{};
  resolve_kernel_functions(functions);
  size_t bytes = sizeof(sensor);
  if (bytes < PAGE_SIZE) bytes = PAGE_SIZE;  // page-aligned, as its wake line needs
  void* const memory = allocate_nonpaged(functions, bytes);
  if (memory == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
  sensor* const made = new (in_place{}, memory) sensor();
  made->functions_ = functions;
  driver_options options;
  NTSTATUS status = read_options(registry_path, options);
  if (NT_SUCCESS(status)) status = made->start(driver, options);
  if (!NT_SUCCESS(status)) {
    destroy(made);
    return status;
  }
  created = made;
  return STATUS_SUCCESS;
}

void sensor::destroy(sensor* existing) {
  PAGED_CODE();
  if (existing == nullptr) return;
  existing->~sensor();
  ExFreePoolWithTag(existing, pool_tag);
}

NTSTATUS sensor::start(PDRIVER_OBJECT driver, const driver_options& options) {
  PAGED_CODE();
  options_ = options;
  if (options.main_geometry().max_record > max_record_bytes_limit || options.mode >= ring_mode_count) {
    return STATUS_INVALID_PARAMETER;
  }
  LARGE_INTEGER boot;
  KeQuerySystemTime(&boot);
  LARGE_INTEGER utc = boot;  // of the anchor: as fine as this kernel has it
  const uint64_t counter = static_cast<uint64_t>(KeQueryPerformanceCounter(nullptr).QuadPart);
  // Two loads may fall into one tick of the system's time (up to 15.6 ms), and are different streams all the same.
  if (functions_.KeQuerySystemTimePrecise != nullptr) {
    functions_.KeQuerySystemTimePrecise(&utc);
    boot = utc;
  } else {
    boot.QuadPart += static_cast<int64_t>(counter % 100000);
  }
  const channel_options rings{options.main_geometry(), options.spare_geometry(), static_cast<uint64_t>(boot.QuadPart),
                              critical_types,          options.ring_bytes / 4,
                              least_step_back_microseconds + 2 * options.margin_microseconds,
                              0,                       counter,
                              static_cast<uint64_t>(utc.QuadPart),
                              static_cast<ring_mode>(options.mode)};
  NTSTATUS status = channel_.create(functions_, rings);
  if (!NT_SUCCESS(status)) return status;
  status = own_types_.start(channel_, functions_);
  if (!NT_SUCCESS(status)) return status;
  status = worker_.start(channel_, functions_, options);
  if (!NT_SUCCESS(status)) return status;
  status = mapping_.start(channel_, worker_, functions_, {this, [](void* self) { static_cast<sensor*>(self)->attach(); }});
  if (!NT_SUCCESS(status)) return status;
  if (options.hold_until_attach == 0) channel_.allow_types(stream_types);
  channel_.set_types(stream_types | bit(event_type_process_create) | bit(event_type_process_exit) |
                     bit(event_type_thread_create) | bit(event_type_thread_exit) | bit(event_type_image_load) |
                     registry_types);
  status = create_device(driver);
  if (!NT_SUCCESS(status)) return status;
  // Callbacks last: they write to what stands by now.
  status = processes_.start(channel_, functions_, first_threads_, {this, [](void* self, HANDLE pid) {
                                                                static_cast<sensor*>(self)->mapping_.process_exited(pid);
                                                              }});
  if (!NT_SUCCESS(status)) return status;
  status = threads_.start(channel_, first_threads_, true);
  if (!NT_SUCCESS(status)) return status;
  status = images_.start(channel_, functions_);
  if (!NT_SUCCESS(status)) return status;
  // A kernel that gives no registry callback is no reason not to load: the capabilities say so.
  status = registry_.start(channel_, functions_, driver, options.registry_operations, options.registry_data_bytes);
  if (!NT_SUCCESS(status)) return status;
  if (options.port == 0) return STATUS_SUCCESS;
  // Nor is one without a filter manager: clients read the device.
  port_.start(driver, functions_, channel_, worker_,
              {this,
               [](void* self, uint32_t code, void* buffer, uint32_t in, uint32_t out, uint32_t& written,
                  client_stream* from) {
                 return static_cast<sensor*>(self)->control(code, buffer, in, out, written, from);
               },
               [](void* self) { static_cast<sensor*>(self)->attach(); }});
  return STATUS_SUCCESS;
}

void sensor::stop() {
  PAGED_CODE();
  port_.stop();
  registry_.stop();
  images_.stop();
  threads_.stop();
  delete_device();
  mapping_.stop();  // while the ends of processes are still told
  processes_.stop();
  worker_.stop();
}

uint64_t sensor::available_types() {
  uint64_t types = stream_types | own_types_.mask();
  if (processes_.registered() != protocol::registration::none) {
    types |= bit(event_type_process_create) | bit(event_type_process_exit);
  }
  if (threads_.registered() != protocol::registration::none) {
    types |= bit(event_type_thread_create) | bit(event_type_thread_exit);
  }
  if (images_.registered() != protocol::registration::none) types |= bit(event_type_image_load);
  return types | registry_.types();
}

protocol::capabilities sensor::capabilities() {
  const worker::clock_relation clock = worker_.clock();
  protocol::capabilities answer{};
  answer.version = protocol::version;
  answer.cpu_count = channel_.cpu_count();
  answer.boot = channel_.options().boot;
  answer.clock_frequency = clock.anchor.frequency;
  answer.types = available_types();
  answer.ring_bytes = channel_.options().main.capacity;
  answer.critical_bytes = channel_.options().main.critical_bytes;
  answer.max_record_bytes = channel_.options().main.max_record;
  answer.process_registration = processes_.registered();
  answer.thread_registration = threads_.registered();
  answer.image_registration = images_.registered();
  answer.registry_registration = registry_.registered();
  answer.anchor_counter = clock.anchor.counter;
  answer.anchor_utc = clock.anchor.utc;
  answer.clock_epoch = clock.epoch;
  answer.clock_offset = clock.offset;
  if (mapping_.is_supported()) answer.features |= protocol::feature_mapping;
  if (NT_SUCCESS(port_.status())) answer.features |= protocol::feature_port;
  if (channel_.options().mode == ring_mode::overwrite) answer.features |= protocol::feature_overwrite;
  return answer;
}

NTSTATUS sensor::set_types(const protocol::set_types& request) {
  if (request.version != protocol::version) return STATUS_REVISION_MISMATCH;
  if ((request.types & ~available_types()) != 0) return STATUS_NOT_SUPPORTED;
  channel_.set_types(request.types | stream_types);  // loss, anchors and declarations cannot be switched off
  return STATUS_SUCCESS;
}

}  // namespace sluice
