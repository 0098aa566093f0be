// The sensor: everything a driver adds to itself to emit events. DriverEntry starts it, Unload stops it.
//
//   static sluice::sensor* sensor;
//   status = sluice::sensor::create(driver, registry_path, sensor);   // DriverEntry
//   sluice::sensor::destroy(sensor);                                  // Unload
//
// It registers the notify routines that this kernel has, creates the device \Device\Sluice, runs the worker that merges, and
// opens the filter communication port. A driver's own events go through events(): register a type at PASSIVE_LEVEL, write at
// up to DISPATCH_LEVEL.
#pragma once

#include "kernel_port/driver/mapping.h"
#include "kernel_port/driver/port.h"
#include "kernel_port/driver/worker.h"
#include "producers/image_producer.h"
#include "producers/own_types.h"
#include "producers/process_producer.h"
#include "producers/registry_producer.h"
#include "producers/thread_producer.h"

namespace sluice {

class sensor {
 public:
  // PASSIVE_LEVEL, in DriverEntry, where the driver's own dispatch routines stand already (requests for any other device than the
  // sensor's go on to them) and no device of it can be open yet. On failure nothing is left behind, the dispatch routines are as they were, and the status
  // says what failed: STATUS_INVALID_PARAMETER (options), STATUS_INSUFFICIENT_RESOURCES (memory, or no notify slot),
  // or what the failing registration gave.
  [[nodiscard]] SLUICE_INIT_CODE _IRQL_requires_(PASSIVE_LEVEL)
  static NTSTATUS create(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path, sensor*& created);
  // PASSIVE_LEVEL, in Unload. Returns when no callback, thread, timer or request is left. Null is allowed.
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  static void destroy(sensor* existing);

  sensor() = default;
  ~sensor() { stop(); }
  sensor(const sensor&) = delete;
  sensor& operator=(const sensor&) = delete;

  channel& events() { return channel_; }
  own_type_registry& types() { return own_types_; }

 private:
  [[nodiscard]] SLUICE_INIT_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS start(PDRIVER_OBJECT driver, const driver_options& options);
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  void stop();
  [[nodiscard]] SLUICE_INIT_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS create_device(PDRIVER_OBJECT driver);
  _IRQL_requires_(PASSIVE_LEVEL)
  void remove_device();
  _IRQL_requires_(PASSIVE_LEVEL)
  void delete_device();

  // Every request of the driver's devices, of the kinds that the sensor takes.
  _IRQL_requires_max_(DISPATCH_LEVEL)
  static NTSTATUS NTAPI on_request(PDEVICE_OBJECT device, PIRP irp);
  _IRQL_requires_max_(DISPATCH_LEVEL)
  NTSTATUS read(PIRP irp, const IO_STACK_LOCATION& stack);
  _IRQL_requires_max_(DISPATCH_LEVEL)
  NTSTATUS device_control(PIRP irp, const IO_STACK_LOCATION& stack);
  _IRQL_requires_max_(DISPATCH_LEVEL)
  NTSTATUS control(uint32_t code, void* buffer, uint32_t in, uint32_t out, uint32_t& written, client_stream* from);
  _IRQL_requires_max_(DISPATCH_LEVEL)
  NTSTATUS control_filter(uint32_t code, void* buffer, uint32_t in, uint32_t out, uint32_t& written);
  _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS control_client_filter(uint32_t code, void* buffer, uint32_t in, uint32_t out, uint32_t& written,
                                 client_stream* from);
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void attach();
  _IRQL_requires_(PASSIVE_LEVEL)
  void detach(PFILE_OBJECT file);
  _IRQL_requires_max_(DISPATCH_LEVEL)
  protocol::capabilities capabilities();
  _IRQL_requires_max_(DISPATCH_LEVEL)
  uint64_t available_types();
  _IRQL_requires_max_(DISPATCH_LEVEL)
  NTSTATUS set_types(const protocol::set_types& request);

  // Destroyed from the last to the first: callbacks before the channel they write to.
  kernel_functions functions_{};
  driver_options options_;
  channel channel_;
  own_type_registry own_types_;
  worker worker_;
  first_threads first_threads_;
  process_producer processes_;
  thread_producer threads_;
  image_producer images_;
  registry_producer registry_;
  port port_;
  mapping mapping_;
  PDEVICE_OBJECT device_ = nullptr;
  LONG attached_ = 0;                       // a client has read
  PFILE_OBJECT volatile reader_ = nullptr;  // the handle that reads; one at a time
};

}  // namespace sluice
