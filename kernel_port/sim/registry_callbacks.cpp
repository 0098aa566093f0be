#include "kernel_port/sim/registry_callbacks.h"

#include <algorithm>

#include "kernel_port/sim/callback_call.h"
#include "kernel_port/sim/implementation.h"

namespace sluice::sim {
namespace {

// What stands where NT 5.2 has no member: a driver that reads it is led astray, one that writes it is found
// out.
PVOID const no_such_member = reinterpret_cast<PVOID>(0xdead52dead52dead);

bool is_altitude(std::u16string_view text) {
  const auto is_digit = [](char16_t unit) { return unit >= u'0' && unit <= u'9'; };
  const size_t point = std::min(text.find(u'.'), text.size());
  return point != 0 && std::ranges::all_of(text.substr(0, point), is_digit) &&
         (point == text.size() ||
          (point + 1 < text.size() && std::ranges::all_of(text.substr(point + 1), is_digit)));
}

// Without leading zeros and trailing zeros of the fraction: two spellings of one number are one altitude.
std::u16string normalized(std::u16string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(u'0'), text.size()));
  if (text.find(u'.') != std::u16string_view::npos) {
    while (text.ends_with(u'0')) text.remove_suffix(1);
    if (text.ends_with(u'.')) text.remove_suffix(1);
  }
  return std::u16string(text);
}

bool higher(std::u16string_view left, std::u16string_view right) {
  const size_t left_point = std::min(left.find(u'.'), left.size());
  const size_t right_point = std::min(right.find(u'.'), right.size());
  if (left_point != right_point) return left_point > right_point;
  return left > right;  // as many digits before the point: the decimals compare as text
}

bool stands_above(const registry_callback& left, const registry_callback& right) {
  const bool left_plain = left.altitude.empty();
  const bool right_plain = right.altitude.empty();
  if (left_plain != right_plain) return left_plain;
  if (left_plain) return left.sequence < right.sequence;
  return higher(left.altitude, right.altitude);
}

std::optional<size_t> counted(REG_NOTIFY_CLASS pre) {
  switch (pre) {
    case RegNtPreCreateKeyEx:
      return 0;
    case RegNtPreOpenKeyEx:
      return 1;
    case RegNtPreSetValueKey:
      return 2;
    case RegNtPreDeleteKey:
      return 3;
    case RegNtPreDeleteValueKey:
      return 4;
    case RegNtPreRenameKey:
      return 5;
    default:
      return std::nullopt;
  }
}

}  // namespace

NTSTATUS registry_callbacks::add(PEX_CALLBACK_FUNCTION function, PVOID context, PCUNICODE_STRING altitude,
                                 PLARGE_INTEGER cookie) {
  if (const NTSTATUS failed = the_machine().injected_failure(machine::failure::notify_registration); failed != STATUS_SUCCESS) return failed;
  auto made = std::make_shared<registry_callback>();
  made->context = context;
  if (altitude != nullptr) {
    const std::u16string_view text(reinterpret_cast<const char16_t*>(altitude->Buffer),
                                   altitude->Length / sizeof(WCHAR));
    if (!is_altitude(text)) return STATUS_INVALID_PARAMETER;
    made->altitude = normalized(text);
    if (made->altitude.empty()) made->altitude = u"0";
  }
  made->slot.driver = self().driver;
  made->slot.routine.store(reinterpret_cast<void*>(function));
  internal_lock lock(mutex_);
  const auto same_altitude = [&](const auto& known) {
    return !made->altitude.empty() && known->altitude == made->altitude;
  };
  if (std::ranges::any_of(*list_, same_altitude)) return STATUS_FLT_INSTANCE_ALTITUDE_COLLISION;
  made->sequence = next_;
  made->cookie = static_cast<int64_t>(0x01da'0000'0000'0000u + next_);
  next_ += 1;
  cookie->QuadPart = made->cookie;
  auto longer = std::make_shared<list>(*list_);
  longer->insert(
      std::ranges::find_if(*longer, [&](const auto& known) { return stands_above(*made, *known); }), made);
  list_ = std::move(longer);
  count_.store(list_->size(), std::memory_order_release);
  return STATUS_SUCCESS;
}

NTSTATUS registry_callbacks::remove(int64_t cookie) {
  thread_state& thread = self();
  std::shared_ptr<registry_callback> found;
  {
    internal_lock lock(mutex_);
    auto shorter = std::make_shared<list>(*list_);
    const auto entry =
        std::ranges::find_if(*shorter, [&](const auto& known) { return known->cookie == cookie; });
    if (entry == shorter->end()) return STATUS_INVALID_PARAMETER;
    found = *entry;
    for (uint32_t i = 0; i < thread.notify_depth; ++i) {
      if (thread.notify_active[i] == &found->slot) {
        stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x1000, as_argument(found->slot.routine.load()), 0, 0,
             "CmUnRegisterCallback from inside the callback itself: it waits for the callback to return, for "
             "ever.");
      }
    }
    shorter->erase(entry);
    list_ = std::move(shorter);
    count_.store(list_->size(), std::memory_order_release);
    found->slot.remover.store(&thread.host->park);
    found->slot.routine.store(
        nullptr);  // seq_cst: pairs with registry_passage's look after it has counted itself in
  }
  while (found->slot.running.load() != 0) the_scheduler.wait(thread.host->park);
  found->slot.remover.store(nullptr);
  return STATUS_SUCCESS;
}

bool registry_callbacks::knows(int64_t cookie) {
  internal_lock lock(mutex_);
  return std::ranges::any_of(*list_, [&](const auto& known) { return known->cookie == cookie; });
}

std::shared_ptr<const registry_callbacks::list> registry_callbacks::callbacks() {
  internal_lock lock(mutex_);
  return list_;
}

const void* registry_callbacks::find_of(const driver_record* driver, bool any) {
  internal_lock lock(mutex_);
  for (const auto& known : *list_) {
    if (any || known->slot.driver == driver) return known->slot.routine.load();
  }
  return nullptr;
}

void registry_callbacks::count_raise(REG_NOTIFY_CLASS pre) {
  if (const auto index = counted(pre)) raised_[*index].fetch_add(1, std::memory_order_relaxed);
}

void registry_callbacks::add_to(raised_counts& counts) const {
  counts.registry_create_key = raised_[0];
  counts.registry_open_key = raised_[1];
  counts.registry_set_value = raised_[2];
  counts.registry_delete_key = raised_[3];
  counts.registry_delete_value = raised_[4];
  counts.registry_rename_key = raised_[5];
}

namespace {

// False: the callback has been removed.
bool call(registry_callback& who, REG_NOTIFY_CLASS what, void* information, NTSTATUS& answer) {
  bool called = false;
  who.slot.running.fetch_add(1);  // seq_cst, with the load below: pairs with registry_callbacks::remove
  if (void* const routine = who.slot.routine.load()) {
    thread_state& thread = self();
    const registry_callback* const outer = thread.registry_active;
    thread.registry_active = &who;
    at_allowed_irql([&] {
      call_routine(who.slot, routine, "A registry callback", [&] {
        answer = reinterpret_cast<PEX_CALLBACK_FUNCTION>(routine)(
            who.context, reinterpret_cast<PVOID>(static_cast<uintptr_t>(what)), information);
      });
    });
    thread.registry_active = outer;
    called = true;
  }
  notify_registry::leave(who.slot);
  return called;
}

}  // namespace

registry_passage::registry_passage(REG_NOTIFY_CLASS pre, REG_NOTIFY_CLASS post, void* information,
                                   PVOID* call_context)
    : pre_(pre),
      post_(post),
      information_(information),
      call_context_(call_context),
      has_contexts_(the_machine().options.level >= kernel_level::vista) {
  registry_callbacks& all = the_machine().registry;
  if (!all.empty()) callbacks_ = all.callbacks();
}

bool registry_passage::before(NTSTATUS& status) {
  if (!callbacks_) return true;
  passed_.reserve(callbacks_->size());
  const registry_callback* const inside = self().registry_active;
  for (const auto& callback : *callbacks_) {
    if (has_contexts_ && inside != nullptr && !stands_above(*inside, *callback)) continue;
    *call_context_ = has_contexts_ ? nullptr : no_such_member;
    NTSTATUS answer = STATUS_SUCCESS;
    if (!call(*callback, pre_, information_, answer)) continue;
    the_machine().registry.count_raise(pre_);
    if (!has_contexts_ && *call_context_ != no_such_member) {
      stop(bug::KERNEL_SECURITY_CHECK_FAILURE, 2, as_argument(call_context_), 0, 0,
           "A registry callback wrote CallContext, which this kernel's structure does not have.");
    }
    if (!NT_SUCCESS(answer)) {
      status = answer == STATUS_CALLBACK_BYPASS ? STATUS_SUCCESS : answer;
      return false;
    }
    passed_.push_back({callback.get(), has_contexts_ ? *call_context_ : nullptr});
  }
  return true;
}

void registry_passage::after(NTSTATUS& status, PVOID object) {
  if (has_contexts_) *call_context_ = nullptr;
  for (auto entry = passed_.rbegin(); entry != passed_.rend(); ++entry) {
    REG_POST_OPERATION_INFORMATION information{};
    information.Object = object;
    information.Status = status;
    information.PreInformation = has_contexts_ ? information_ : no_such_member;
    information.CallContext = has_contexts_ ? entry->call_context : no_such_member;
    NTSTATUS answer = STATUS_SUCCESS;
    if (!call(*entry->who, post_, &information, answer)) continue;
    if (has_contexts_ && answer == STATUS_CALLBACK_BYPASS) status = information.ReturnStatus;
  }
}

}  // namespace sluice::sim
