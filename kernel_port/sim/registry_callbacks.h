// Who watches the registry: callbacks by altitude, and one operation's way past them.
//
// An operation sees the list as it was when it began. Pre: from the highest altitude down, until one refuses
// (an error) or answers itself (STATUS_CALLBACK_BYPASS). Post: those whose pre let the operation pass, the
// other way round; whoever decided gets none. An operation made inside a callback passes only those below it
// (NT 5.2: all, itself included).
#pragma once

#include <array>
#include <memory>
#include <unordered_map>
#include <vector>

#include "kernel_port/sim/notify.h"

namespace sluice::sim {

struct registry_callback {
  notify_slot slot;
  PVOID context = nullptr;
  int64_t cookie = 0;
  uint64_t sequence = 0;    // of registration
  std::u16string altitude;  // empty: by CmRegisterCallback, above all others
};

class registry_callbacks {
 public:
  using list = std::vector<std::shared_ptr<registry_callback>>;  // from the highest down

  // `altitude` null: CmRegisterCallback. The cookie is written before the first call.
  NTSTATUS add(PEX_CALLBACK_FUNCTION function, PVOID context, PCUNICODE_STRING altitude,
               PLARGE_INTEGER cookie);
  NTSTATUS remove(int64_t cookie);  // waits for running calls
  bool knows(int64_t cookie);

  bool empty() const { return count_.load(std::memory_order_acquire) == 0; }
  uint64_t count() const { return count_.load(std::memory_order_acquire); }
  std::shared_ptr<const list> callbacks();
  const void* find_of(const driver_record* driver, bool any = false);

  void count_raise(REG_NOTIFY_CLASS pre);
  void add_to(raised_counts& counts) const;

 private:
  internal_mutex mutex_;
  std::shared_ptr<const list> list_ = std::make_shared<list>();
  std::atomic<uint64_t> count_{0};
  uint64_t next_ = 1;
  std::array<std::atomic<uint64_t>, 6> raised_{};
};

// Names that CmCallbackGetKeyObjectIDEx gave out and that were not released yet.
class given_key_names {
 public:
  void gave(const void* name, const driver_record* driver) {
    internal_lock lock(mutex_);
    names_.emplace(name, driver);
  }
  bool took_back(const void* name) {
    internal_lock lock(mutex_);
    return names_.erase(name) != 0;
  }
  uint64_t count_of(const driver_record* driver, bool any = false) {
    internal_lock lock(mutex_);
    uint64_t count = 0;
    for (const auto& [name, owner] : names_) count += any || owner == driver;
    return count;
  }

 private:
  internal_mutex mutex_;
  std::unordered_map<const void*, const driver_record*> names_;
};

// One operation on its way. `information` is its REG_..._INFORMATION, `call_context` that structure's member.
class registry_passage {
 public:
  registry_passage(REG_NOTIFY_CLASS pre, REG_NOTIFY_CLASS post, void* information, PVOID* call_context);
  registry_passage(const registry_passage&) = delete;
  registry_passage& operator=(const registry_passage&) = delete;

  // Runs `execute` unless a callback has decided, and tells those who let it pass. `object` is read after it
  // has run.
  template <class Execute>
  NTSTATUS run(PVOID* object, Execute&& execute) {
    NTSTATUS status = STATUS_SUCCESS;
    if (before(status)) status = execute();
    after(status, *object);
    return status;
  }

 private:
  struct passed {
    registry_callback* who;  // kept by callbacks_
    PVOID call_context;
  };
  bool before(NTSTATUS& status);
  void after(NTSTATUS& status, PVOID object);

  const REG_NOTIFY_CLASS pre_, post_;
  void* const information_;
  PVOID* const call_context_;
  const bool has_contexts_;  // Vista
  std::shared_ptr<const registry_callbacks::list> callbacks_;
  std::vector<passed> passed_;
};

}  // namespace sluice::sim
