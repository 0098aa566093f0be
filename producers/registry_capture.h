// What is captured of a registry operation before it happens and delivered when its outcome is known: room
// for one payload each, found again through the operation's CallContext.
//
//   slots       of one size, a fixed number, claimed and given back without a lock and without pool
//   in pool     what is longer than a slot, or comes while all are taken; kept in a list
//
// An operation can end without telling (the callback was removed in between): give_back_all() finds every
// capture that is still out. Claim and give back from any thread up to DISPATCH_LEVEL. docs/decisions/0007
// has the reasons.
#pragma once

#include "producers/events.h"
#include "producers/pool.h"
#include "producers/scopes.h"

namespace sluice {

struct alignas(8) registry_capture {
  LIST_ENTRY link;    // among those in pool
  LONG claimed;       // slots
  uint32_t capacity;  // bytes of payload
  uint32_t length;    // of the payload so far
  uint16_t type;
  bool in_pool;

  uint8_t* payload() { return reinterpret_cast<uint8_t*>(this + 1); }
};

class registry_capture_store {
 public:
  static constexpr uint32_t slot_bytes =
      2048;  // paths, names and strings of 99 in 100 recorded operations need half of it
  static constexpr uint32_t slot_capacity = slot_bytes - sizeof(registry_capture);

  registry_capture_store() = default;
  ~registry_capture_store() { give_back_all(); }
  registry_capture_store(const registry_capture_store&) = delete;
  registry_capture_store& operator=(const registry_capture_store&) = delete;

  // PASSIVE_LEVEL. False: no memory.
  [[nodiscard]] SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  bool create(const kernel_functions& functions, uint32_t slots);
  // Null: no slot fits and there is no pool.
  _IRQL_requires_max_(DISPATCH_LEVEL)
  registry_capture* claim(uint16_t type, uint32_t bytes);
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void give_back(registry_capture* capture);
  // Nobody else may be using the store any more.
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void give_back_all();

 private:
  registry_capture& slot(uint32_t index) {
    return *reinterpret_cast<registry_capture*>(static_cast<uint8_t*>(slots_.get()) +
                                                size_t{index} * slot_bytes);
  }
  _IRQL_requires_max_(DISPATCH_LEVEL)
  registry_capture* claim_slot();
  _IRQL_requires_max_(DISPATCH_LEVEL)
  registry_capture* claim_pool(uint32_t bytes);

  const kernel_functions* functions_ = nullptr;
  nonpaged_memory slots_;
  uint32_t count_ = 0;
  KSPIN_LOCK pool_lock_{};
  LIST_ENTRY in_pool_{};
};

}  // namespace sluice
