// What the tests of the simulated registry share: names, and a callback that does what the test wants.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {

inline constexpr std::u16string_view software = u"\\REGISTRY\\MACHINE\\SOFTWARE";
inline constexpr std::u16string_view key = u"\\REGISTRY\\MACHINE\\SOFTWARE\\Acme";

inline std::u16string text_of(PCUNICODE_STRING string) {
  return std::u16string(reinterpret_cast<const char16_t*>(string->Buffer), string->Length / 2);
}

struct string_over : UNICODE_STRING {
  explicit string_over(std::u16string_view text) {
    Length = MaximumLength = static_cast<USHORT>(text.size() * 2);
    Buffer = reinterpret_cast<PWCH>(const_cast<char16_t*>(text.data()));
  }
};

// One registered callback, with what the test wants it to do.
struct watcher {
  using reaction = std::function<NTSTATUS(watcher&, REG_NOTIFY_CLASS, void*)>;

  reaction react;
  LARGE_INTEGER cookie{};
  NTSTATUS registered = STATUS_UNSUCCESSFUL;
  std::vector<REG_NOTIFY_CLASS> seen;
  static inline std::vector<std::string> order;  // of all watchers
  std::string name;

  watcher(std::string called, const char16_t* altitude, reaction reacts = {})
      : react(std::move(reacts)), name(std::move(called)) {
    if (altitude == nullptr) {
      registered = CmRegisterCallback(call, this, &cookie);
    } else {
      static DRIVER_OBJECT driver;
      const string_over text(altitude);
      registered = SYSTEM_ROUTINE(CmRegisterCallbackEx)(call, &text, &driver, this, &cookie, nullptr);
    }
  }
  ~watcher() {
    if (NT_SUCCESS(registered)) CmUnRegisterCallback(cookie);
  }

  static NTSTATUS call(PVOID context, PVOID what, PVOID information) {
    auto& self = *static_cast<watcher*>(context);
    const auto happened = static_cast<REG_NOTIFY_CLASS>(reinterpret_cast<uintptr_t>(what));
    self.seen.push_back(happened);
    order.push_back(self.name);
    return self.react ? self.react(self, happened, information) : STATUS_SUCCESS;
  }

  uint64_t count(REG_NOTIFY_CLASS what) const {
    return static_cast<uint64_t>(std::ranges::count(seen, what));
  }
  std::u16string path_of(PVOID object) {
    PCUNICODE_STRING path = nullptr;
    EXPECT_EQ(SYSTEM_ROUTINE(CmCallbackGetKeyObjectIDEx)(&cookie, object, nullptr, &path, 0), STATUS_SUCCESS);
    if (path == nullptr) return u"(none)";
    const std::u16string text = text_of(path);
    SYSTEM_ROUTINE(CmCallbackReleaseKeyObjectIDEx)(path);
    return text;
  }
};

struct registry : testing::Test {
  machine system;
  activity thread{system, 0, 100, 101};
  registry() { watcher::order.clear(); }
};

}  // namespace sluice::sim
