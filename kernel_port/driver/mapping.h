// The mapping: one client has the rings in its own address space, merges them itself, and sleeps through the driver (docs/mapping.md).
//
//   data and producer pages    read-only (MdlMappingNoWrite, Windows 8; before that nothing is mapped)
//   consumer page of a ring    writable: the one word that a client tells the kernel, and is believed only if it holds (R5)
//
// One client, and no other consumer beside it (kernel_port/driver/admission.h). Meanwhile the worker takes nothing from the rings; it
// signals. Views go when the handle is cleaned up, when its process ends though the handle lives on in another, or with the driver,
// always in the process that has them; then the worker takes over where the kernel has accepted the client's position.
//
// Waking (W1, pipeline/wake.h): announce, let the margin pass, look, wait. A close that sees the announcement is kept until the
// next wait or the next announcement. Two announcements within a margin: the second is not made, and the next wait is over at once,
// so that a client that only announces does not make producers signal all the time. An honest one lets the margin pass in between.
#pragma once

#include "kernel_port/driver/worker.h"

namespace sluice {

class mapping {
 public:
  // There is a client: what happens from now on is for it. PASSIVE_LEVEL.
  struct owner {
    void* context;
    void (*attached)(void* context);
  };

  mapping() = default;
  ~mapping() { stop(); }
  mapping(const mapping&) = delete;
  mapping& operator=(const mapping&) = delete;

  // PASSIVE_LEVEL.
  [[nodiscard]] SLUICE_INIT_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS start(channel& of, worker& from, const kernel_functions& functions, const owner& whose);
  // PASSIVE_LEVEL, before the worker stops.
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  void stop();

  // Whether this kernel, and these rings, can be mapped. Any IRQL.
  _IRQL_requires_max_(DISPATCH_LEVEL)
  bool is_supported() const;

  static bool handles(uint32_t code) {
    return code == protocol::code_map || code == protocol::code_announce || code == protocol::code_wait ||
           code == protocol::code_wake;
  }
  // The dispatch routine of these controls. Completes the request, or keeps it: STATUS_PENDING.
  _IRQL_requires_max_(DISPATCH_LEVEL)
  NTSTATUS control(PIRP irp);
  // IRP_MJ_CLEANUP of a handle, whoever has it. PASSIVE_LEVEL.
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  void detach(PFILE_OBJECT file);
  // The process callback, in the process that ends. PASSIVE_LEVEL.
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  void process_exited(HANDLE pid);

 private:
  struct view {
    PMDL region;
    PMDL consumer;
    PVOID region_address;
    PVOID consumer_address;
    uint64_t position;  // where the client begins
    uint64_t announced;
  };

  _IRQL_requires_max_(DISPATCH_LEVEL)
  NTSTATUS map(PIRP irp, uint32_t& written);
  _IRQL_requires_max_(APC_LEVEL)
  NTSTATUS map_for(PFILE_OBJECT file, uint32_t rings);
  _IRQL_requires_max_(APC_LEVEL)
  NTSTATUS map_ring(uint32_t ring);
  _IRQL_requires_max_(APC_LEVEL)
  static NTSTATUS map_part(void* memory, uint32_t bytes, ULONG flags, PMDL& mdl, PVOID& address);
  _IRQL_requires_max_(APC_LEVEL)
  void unmap_from(uint32_t ring);
  _IRQL_requires_max_(APC_LEVEL)
  void fill(void* out, uint32_t rings);
  _IRQL_requires_max_(APC_LEVEL)
  SLUICE_NEVER_INLINE void release();  // takes a spin lock: never a part of pageable code
  _IRQL_requires_max_(DISPATCH_LEVEL)
  NTSTATUS announce(PIRP irp, uint32_t& written);
  _IRQL_requires_max_(DISPATCH_LEVEL)
  NTSTATUS wait(PIRP irp);
  _IRQL_requires_max_(DISPATCH_LEVEL)
  NTSTATUS wake(PFILE_OBJECT file);
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void answer(PIRP irp);
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void record_closed();
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void serve_waits();

  HANDLE mapped_by() { return InterlockedCompareExchangePointer(&pid_, nullptr, nullptr); }

  channel* channel_ = nullptr;
  worker* worker_ = nullptr;
  owner owner_{};
  bool supported_ = false;
  bool started_ = false;

  // Held while views come and go; nobody who only reads or waits takes it.
  FAST_MUTEX mutex_{};
  PFILE_OBJECT file_ = nullptr;
  PEPROCESS process_ = nullptr;  // referenced
  PVOID volatile pid_ = nullptr;  // who has them mapped; exchanged, and read as one: process_exited looks without the mutex
  uint32_t mapped_ = 0;          // rings
  nonpaged_array<view> views_;

  KSPIN_LOCK wait_lock_{};
  PFILE_OBJECT waker_of_ = nullptr;  // whose announcements and waits are served
  bool closed_ = false;              // and nobody was told
  bool announced_once_ = false;
  uint64_t announced_at_ = 0;
  request_queue waits_;
};

}  // namespace sluice
