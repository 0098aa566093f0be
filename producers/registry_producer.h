// registry_create_key, _open_key, _set_value, _delete_key, _delete_value and _rename_key, from the registry
// callback: Ex (with an altitude), else plain.
//
// Before the operation: path, names and data are captured, because the operation may take them away and the
// process may change them. After it: the capture is found through CallContext, and record and outcome are
// written. NT 5.2 has no CallContext: there the event is written before the operation, and says that it does
// not know how it ended.
//
// The callback comes at PASSIVE_LEVEL (APC_LEVEL was observed) in the thread that makes the call. It makes no
// registry call, waits for nothing, and changes no operation. An operation that a callback above ours refuses
// never reaches it.
#pragma once

#include "kernel_port/driver/protocol.h"
#include "producers/channel.h"
#include "producers/event_decision.h"
#include "producers/registry_capture.h"
#include "producers/rundown.h"

namespace sluice {

inline constexpr uint32_t registry_operation_create_key = 0x01;
inline constexpr uint32_t registry_operation_open_key = 0x02;
inline constexpr uint32_t registry_operation_set_value = 0x04;
inline constexpr uint32_t registry_operation_delete_key = 0x08;
inline constexpr uint32_t registry_operation_delete_value = 0x10;
inline constexpr uint32_t registry_operation_rename_key = 0x20;
inline constexpr uint32_t registry_operations_all = 0x3f;

class registry_producer {
 public:
  registry_producer() = default;
  ~registry_producer() { stop(); }
  registry_producer(const registry_producer&) = delete;
  registry_producer& operator=(const registry_producer&) = delete;

  // PASSIVE_LEVEL. `operations`: a sum of registry_operation_*; `data_bound`: bytes of a value's data, at
  // most. STATUS_INSUFFICIENT_RESOURCES: no memory. A kernel that refuses the registration is no error:
  // registered() says so.
  [[nodiscard]] SLUICE_INIT_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS start(channel& to, const kernel_functions& functions, PDRIVER_OBJECT driver,
                               uint32_t operations, uint32_t data_bound);
  // PASSIVE_LEVEL, not from a callback. Returns when no callback runs any more; what was captured of
  // operations that are still on their way is given up.
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  void stop();

  protocol::registration registered() const { return registered_; }
  // bit n: type n is watched.
  uint64_t types() const { return registered_ != protocol::registration::none ? types_ : 0; }

 private:
  _IRQL_requires_max_(APC_LEVEL)
  static NTSTATUS NTAPI on_notify(PVOID context, PVOID notify_class, PVOID information);
  _IRQL_requires_max_(APC_LEVEL)
  void dispatch(uint32_t notify_class, PVOID information);

  // An event is decided on here and nowhere else: before anything is looked up or copied for it, and in keeps(), when it is
  // captured. Once per operation.
  bool wanted(uint16_t type, event_decision& decision) { return channel_->is_on(type) && decision.wants(); }
  _IRQL_requires_max_(APC_LEVEL)
  bool keeps(registry_capture& capture, event_decision& decision);

  _IRQL_requires_max_(APC_LEVEL)
  void opening_key(uint16_t type, REG_CREATE_KEY_INFORMATION& information);
  _IRQL_requires_max_(APC_LEVEL)
  void deleting_key(REG_DELETE_KEY_INFORMATION& information);
  _IRQL_requires_max_(APC_LEVEL)
  void setting_value(REG_SET_VALUE_KEY_INFORMATION& information);
  _IRQL_requires_max_(APC_LEVEL)
  void deleting_value(REG_DELETE_VALUE_KEY_INFORMATION& information);
  _IRQL_requires_max_(APC_LEVEL)
  void renaming_key(REG_RENAME_KEY_INFORMATION& information);
  _IRQL_requires_max_(APC_LEVEL)
  void captured(registry_capture* capture, uint16_t type, event_decision& decision, PVOID& call_context);
  _IRQL_requires_max_(APC_LEVEL)
  void ended(const REG_POST_OPERATION_INFORMATION& post);
  _IRQL_requires_max_(APC_LEVEL)
  void write(registry_capture& capture, int32_t status, uint32_t flags, uint32_t disposition);
  _IRQL_requires_max_(APC_LEVEL)
  registry_capture* bare(uint16_t type);
  // Bytes of payload behind a fixed part: what the longest record holds, and what an offset of 16 bits
  // reaches.
  uint32_t room_behind(uint32_t fixed_bytes) const {
    const uint32_t longest = channel_->max_payload();
    return (longest < 0xfffe ? longest : 0xfffe) - fixed_bytes;
  }
  _IRQL_requires_(PASSIVE_LEVEL)
  void watch(uint16_t type, uint32_t before, uint32_t after);
  SLUICE_INIT_CODE _IRQL_requires_(PASSIVE_LEVEL)
  void register_callback(PDRIVER_OBJECT driver);

  channel* channel_ = nullptr;
  const kernel_functions* functions_ = nullptr;
  uint64_t classes_ = 0;  // bit n: notify class n is watched. Set before registration
  uint64_t types_ = 0;
  uint32_t data_bound_ = 0;
  bool outcomes_ = false;  // this kernel tells how an operation ended, and keeps our context for it
  protocol::registration registered_ = protocol::registration::none;
  LARGE_INTEGER cookie_{};
  atomic_word ready_{};  // 1: cookie_ stands
  rundown callbacks_;
  registry_capture_store store_;

  // What an operation is captured in if there is no memory: nothing but that it happened.
  struct bare_capture {
    registry_capture head;
    uint8_t payload[sizeof(registry_value_payload)];
  };
  bare_capture bare_[6] = {};
};

}  // namespace sluice
