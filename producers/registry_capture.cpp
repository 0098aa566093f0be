#include "producers/registry_capture.h"

namespace sluice {

bool registry_capture_store::create(const kernel_functions& functions, uint32_t slots) {
  PAGED_CODE();
  functions_ = &functions;
  KeInitializeSpinLock(&pool_lock_);
  InitializeListHead(&in_pool_);
  if (!slots_.allocate(functions, size_t{slots} * slot_bytes)) return false;
  count_ = slots;
  for (uint32_t i = 0; i < count_; ++i) slot(i).capacity = slot_capacity;
  return true;
}

registry_capture* registry_capture_store::claim(uint16_t type, uint32_t bytes) {
  registry_capture* claimed = bytes <= slot_capacity ? claim_slot() : nullptr;
  if (claimed == nullptr) claimed = claim_pool(bytes);
  if (claimed == nullptr) return nullptr;
  claimed->type = type;
  claimed->length = 0;
  return claimed;
}

// Begins at this CPU's share, so that CPUs rarely meet; the thread may be moved meanwhile, and it does not
// matter. The exchange is a full barrier; as an acquire it is the partner of the exchange in give_back(): who claims a
// slot sees all that its last user did in it.
registry_capture* registry_capture_store::claim_slot() {
  const uint32_t begin = current_processor() * 8 % count_;
  for (uint32_t i = 0; i < count_; ++i) {
    registry_capture& candidate = slot((begin + i) % count_);
    if (InterlockedCompareExchange(&candidate.claimed, 1, 0) == 0) return &candidate;
  }
  return nullptr;
}

registry_capture* registry_capture_store::claim_pool(uint32_t bytes) {
  auto* const made = static_cast<registry_capture*>(
      allocate_nonpaged(*functions_, sizeof(registry_capture) + size_t{bytes}));
  if (made == nullptr) return nullptr;
  made->capacity = bytes;
  made->in_pool = true;
  const spin_lock_scope lock(pool_lock_);
  InsertTailList(&in_pool_, &made->link);
  return made;
}

void registry_capture_store::give_back(registry_capture* capture) {
  if (!capture->in_pool) {
    InterlockedExchange(&capture->claimed, 0);  // as a release: the partner of the exchange in claim_slot()
    return;
  }
  {
    const spin_lock_scope lock(pool_lock_);
    RemoveEntryList(&capture->link);
  }
  ExFreePoolWithTag(capture, pool_tag);
}

void registry_capture_store::give_back_all() {
  if (count_ == 0) return;
  while (!IsListEmpty(&in_pool_)) {
    PLIST_ENTRY const first = RemoveHeadList(&in_pool_);
    ExFreePoolWithTag(CONTAINING_RECORD(first, registry_capture, link), pool_tag);
  }
  slots_.release();
  count_ = 0;
}

}  // namespace sluice
