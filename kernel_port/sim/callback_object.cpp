#include "kernel_port/sim/callback_object.h"

#include <algorithm>

#include "kernel_port/sim/callback_call.h"
#include "kernel_port/sim/implementation.h"

namespace sluice::sim {
namespace {

void destroy_callback_object(void* body) {
  auto* const object = static_cast<PCALLBACK_OBJECT>(body);
  object->table->forget(object);
  object->~_CALLBACK_OBJECT();
}

_OBJECT_TYPE callback_object_type{"Callback", destroy_callback_object};

bool same_name(std::u16string_view left, std::u16string_view right) {
  const auto fold = [](char16_t c) { return c >= u'A' && c <= u'Z' ? static_cast<char16_t>(c + 32) : c; };
  return std::ranges::equal(left, right, {}, fold, fold);
}

}  // namespace

callback_objects::callback_objects() {
  for (const char16_t* name : {set_system_time_callback, u"\\Callback\\PowerState", u"\\Callback\\ProcessorAdd"}) {
    PCALLBACK_OBJECT made = create_object<_CALLBACK_OBJECT>(callback_object_type);
    made->table = this;
    made->name = name;
    made->allow_multiple = true;
    permanent_.push_back(made);
    objects_.push_back(made);
  }
}

callback_objects::~callback_objects() {
  for (PCALLBACK_OBJECT object : permanent_) dereference_object(object);
}

void callback_objects::forget(PCALLBACK_OBJECT object) {
  internal_lock lock(mutex_);
  std::erase(objects_, object);
}

PCALLBACK_OBJECT callback_objects::known(std::u16string_view name) {
  const auto found = std::ranges::find_if(
      objects_, [&](PCALLBACK_OBJECT each) { return !each->name.empty() && same_name(each->name, name); });
  return found == objects_.end() ? nullptr : *found;
}

NTSTATUS callback_objects::open(PCALLBACK_OBJECT& found, std::u16string_view name, bool create, bool allow_multiple) {
  internal_lock lock(mutex_);
  found = name.empty() ? nullptr : known(name);
  if (found) {
    reference_object(found);
    return STATUS_SUCCESS;
  }
  if (!create) return STATUS_OBJECT_NAME_NOT_FOUND;
  found = create_object<_CALLBACK_OBJECT>(callback_object_type);
  found->table = this;
  found->name = name;
  found->allow_multiple = allow_multiple;
  objects_.push_back(found);
  return STATUS_SUCCESS;
}

PVOID callback_objects::add(PCALLBACK_OBJECT to, PCALLBACK_FUNCTION function, PVOID context) {
  if (the_machine().injected_failure(machine::failure::callback_registration) != STATUS_SUCCESS) return nullptr;
  auto made = std::make_shared<_CALLBACK_OBJECT::registration>();
  made->of = to;
  made->function = function;
  made->context = context;
  made->slot.driver = self().driver;
  made->slot.routine.store(reinterpret_cast<void*>(function));
  internal_lock lock(mutex_);
  if (!to->allow_multiple && !to->registrations.empty()) return nullptr;
  reference_object(to);
  to->registrations.push_back(made);
  return made.get();
}

void callback_objects::remove(PVOID handle) {
  thread_state& thread = self();
  std::shared_ptr<_CALLBACK_OBJECT::registration> found;
  {
    internal_lock lock(mutex_);
    for (PCALLBACK_OBJECT object : objects_) {
      for (const auto& each : object->registrations) {
        if (each.get() == handle) found = each;
      }
    }
    if (!found) {
      stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x3F, as_argument(handle), 0, 0,
           "ExUnregisterCallback for a handle that is not registered.");
    }
    for (uint32_t i = 0; i < thread.notify_depth; ++i) {
      if (thread.notify_active[i] == &found->slot) {
        stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x1000, as_argument(found->slot.routine.load()), 0, 0,
             "ExUnregisterCallback from inside the routine itself: it waits for the routine to return, for ever.");
      }
    }
    std::erase(found->of->registrations, found);
    found->slot.remover.store(&thread.host->park);
    found->slot.routine.store(nullptr);  // seq_cst: pairs with notify(), which counts itself in and then looks
  }
  while (found->slot.running.load() != 0) the_scheduler.wait(thread.host->park);
  found->slot.remover.store(nullptr);
  dereference_object(found->of);
}

void callback_objects::notify(PCALLBACK_OBJECT whom, PVOID argument1, PVOID argument2) {
  std::vector<std::shared_ptr<_CALLBACK_OBJECT::registration>> all;
  {
    internal_lock lock(mutex_);
    all = whom->registrations;
  }
  for (const auto& each : all) {
    each->slot.running.fetch_add(1);
    if (void* routine = each->slot.routine.load()) {
      call_routine(each->slot, routine, "A callback object's routine",
                   [&] { each->function(each->context, argument1, argument2); });
    }
    notify_registry::leave(each->slot);
  }
}

uint64_t callback_objects::count() {
  internal_lock lock(mutex_);
  uint64_t count = 0;
  for (PCALLBACK_OBJECT object : objects_) count += object->registrations.size();
  return count;
}

const void* callback_objects::find_of(const driver_record* driver, bool any) {
  internal_lock lock(mutex_);
  for (PCALLBACK_OBJECT object : objects_) {
    for (const auto& each : object->registrations) {
      if (any || each->slot.driver == driver) return reinterpret_cast<const void*>(each->function);
    }
  }
  return nullptr;
}

}  // namespace sluice::sim

using namespace sluice::sim;

extern "C" {

NTSTATUS ExCreateCallback(PCALLBACK_OBJECT* CallbackObject, POBJECT_ATTRIBUTES ObjectAttributes, BOOLEAN Create,
                          BOOLEAN AllowMultipleCallbacks) {
  require_irql_at_most(PASSIVE_LEVEL, "ExCreateCallback");
  if (const NTSTATUS failed = the_machine().injected_failure(machine::failure::callback_object); failed != STATUS_SUCCESS) return failed;
  const PUNICODE_STRING name = ObjectAttributes->ObjectName;
  return the_machine().callbacks.open(
      *CallbackObject,
      name == nullptr ? std::u16string_view()
                      : std::u16string_view(reinterpret_cast<const char16_t*>(name->Buffer), name->Length / sizeof(WCHAR)),
      Create != FALSE, AllowMultipleCallbacks != FALSE);
}

PVOID ExRegisterCallback(PCALLBACK_OBJECT CallbackObject, PCALLBACK_FUNCTION CallbackFunction, PVOID CallbackContext) {
  require_irql_at_most(APC_LEVEL, "ExRegisterCallback");
  return the_machine().callbacks.add(CallbackObject, CallbackFunction, CallbackContext);
}

VOID ExUnregisterCallback(PVOID CallbackRegistration) {
  require_irql_at_most(APC_LEVEL, "ExUnregisterCallback");
  the_machine().callbacks.remove(CallbackRegistration);
}

VOID ExNotifyCallback(PCALLBACK_OBJECT CallbackObject, PVOID Argument1, PVOID Argument2) {
  require_irql_at_most(DISPATCH_LEVEL, "ExNotifyCallback");
  the_machine().callbacks.notify(CallbackObject, Argument1, Argument2);
}
}
