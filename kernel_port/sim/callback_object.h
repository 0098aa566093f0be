// Callback objects (ExCreateCallback): named lists of routines that somebody notifies. The machine has those that every NT
// has for drivers: \Callback\SetSystemTime, \Callback\PowerState, \Callback\ProcessorAdd; drivers can make more.
//
// A routine runs at the notifier's IRQL, in its thread. Removal waits for running calls.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernel_port/sim/notify.h"
#include "kernel_port/sim/object.h"

namespace sluice::sim {
class callback_objects;
}

struct _CALLBACK_OBJECT {
  struct registration {
    PCALLBACK_OBJECT of;
    PCALLBACK_FUNCTION function;
    PVOID context;
    sluice::sim::notify_slot slot;
  };
  sluice::sim::callback_objects* table;
  std::u16string name;  // empty: none
  bool allow_multiple;
  std::vector<std::shared_ptr<registration>> registrations;  // in the order in which they came
};

namespace sluice::sim {

class callback_objects {
 public:
  callback_objects();
  ~callback_objects();
  callback_objects(const callback_objects&) = delete;
  callback_objects& operator=(const callback_objects&) = delete;

  NTSTATUS open(PCALLBACK_OBJECT& found, std::u16string_view name, bool create, bool allow_multiple);
  PCALLBACK_OBJECT known(std::u16string_view name);
  PVOID add(PCALLBACK_OBJECT to, PCALLBACK_FUNCTION function, PVOID context);
  void remove(PVOID handle);
  void notify(PCALLBACK_OBJECT whom, PVOID argument1, PVOID argument2);
  void forget(PCALLBACK_OBJECT object);  // its last reference has gone

  uint64_t count();
  const void* find_of(const driver_record* driver, bool any = false);

 private:
  internal_mutex mutex_;
  std::vector<PCALLBACK_OBJECT> permanent_;
  std::vector<PCALLBACK_OBJECT> objects_;
};

inline constexpr char16_t set_system_time_callback[] = u"\\Callback\\SetSystemTime";

}  // namespace sluice::sim
