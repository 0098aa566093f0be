// What can be set for a driver, from the Parameters key of its service:
//   RingBytes, SpareRingBytes   capacity per CPU, powers of two           1 MiB, 64 KiB
//   CriticalBytes               part of RingBytes for critical types      an eighth of RingBytes
//   MaxRecordBytes              longest record, at most 32 KiB            16 KiB, at most a quarter of the ring
//   MarginMicroseconds          slack of the merge (pipeline/barrier.h)   50
//   OverdueMilliseconds         a reservation open longer is reported and no longer holds the stream back; 0: never
//                                                                         5000
//   RegistryOperations          which registry operations are watched, a sum: 1 create key, 2 open key, 4 set value, 8 delete
//                               key, 16 delete value, 32 rename key; 0: no registry callback    all but open key
//   RegistryDataBytes           of a value that is set, at most             4096, and what fits into the longest record
//   HoldUntilAttach             1: what happens before the first client reads waits for it in the rings (what does not fit there
//                               is dropped, or in overwrite mode the oldest is, and announced). 0: nothing is recorded before
//                               the first client reads; a callback then costs a branch                  1
//   Mode                        0 discard: what finds no room is dropped. 1 overwrite: the oldest makes room (flight recorder;
//                               pipeline/tail.h)                        0
//   AnchorSeconds               while events flow, an anchor (how times stand to UTC) goes into the stream that often; 0: only at the
//                               start, and after the system time was set      60
//   Port                        1: the driver registers with the filter manager and opens the filter communication port.
//                               0: it does neither, and calls nothing of the filter manager      1
// All REG_DWORD: another type fails the start with STATUS_OBJECT_TYPE_MISMATCH, a value that contradicts another with
// STATUS_INVALID_PARAMETER, and one that cannot be read with what the registry said.
#pragma once

#include "producers/channel.h"

namespace sluice {

// A batch of the shortest read holds the longest record.
inline constexpr uint32_t max_record_bytes_limit = 32 * 1024;

struct driver_options {
  uint32_t ring_bytes = 1u << 20;
  uint32_t spare_ring_bytes = 64u << 10;
  uint32_t critical_bytes = 0;     // 0: the default
  uint32_t max_record_bytes = 0;   // 0: the default
  uint32_t margin_microseconds = 50;
  uint32_t overdue_milliseconds = 5000;
  uint32_t registry_operations = 0x3d;
  uint32_t registry_data_bytes = 4096;
  uint32_t hold_until_attach = 1;
  uint32_t mode = 0;
  uint32_t anchor_seconds = 60;
  uint32_t port = 1;

  ring_geometry main_geometry() const {
    return {ring_bytes, max_record_bytes != 0 ? max_record_bytes : longest_record(ring_bytes),
            critical_bytes != 0 ? critical_bytes : ring_bytes / 8};
  }
  // The spare ring holds critical records only, so none of it is kept for them.
  ring_geometry spare_geometry() const {
    const uint32_t longest = main_geometry().max_record;
    const uint32_t own = longest_record(spare_ring_bytes);
    return {spare_ring_bytes, longest < own ? longest : own, 0};
  }

 private:
  static uint32_t longest_record(uint32_t capacity) {
    const uint32_t quarter = capacity / 4;
    return quarter < max_loss_record ? max_loss_record : quarter < 16384 ? quarter : 16384;
  }
};

// Reads the Parameters subkey of the service. What is absent keeps its default; what is there and cannot be read, or is no REG_DWORD
// (STATUS_OBJECT_TYPE_MISMATCH), is a failure: a driver does not run by other options than it was given. PASSIVE_LEVEL.
[[nodiscard]] SLUICE_INIT_CODE _IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS read_options(PUNICODE_STRING registry_path, driver_options& options);

}  // namespace sluice
