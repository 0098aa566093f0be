// What the tests of the registry producer share.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>

#include "tests/kernel_port/driver_test_support.h"

namespace sluice::test {

inline constexpr std::u16string_view software = u"\\REGISTRY\\MACHINE\\SOFTWARE";
inline constexpr std::u16string_view key = u"\\REGISTRY\\MACHINE\\SOFTWARE\\Acme";

inline sim::machine_options with(std::vector<sim::service_parameter> parameters = {},
                                 sim::kernel_level level = sim::kernel_level::windows10) {
  parameters.push_back({u"Sluice", u"RegistryOperations", registry_operations_all});
  return {.level = level, .service_parameters = std::move(parameters)};
}

inline std::vector<uint8_t> bytes_of(const received& record, const bytes_field& field) {
  return {record.payload.begin() + field.offset, record.payload.begin() + field.offset + field.length};
}

// Another driver's callback beside ours.
struct other_callback {
  std::function<NTSTATUS(REG_NOTIFY_CLASS, void*)> react;
  LARGE_INTEGER cookie{};

  other_callback(const char16_t* altitude, std::function<NTSTATUS(REG_NOTIFY_CLASS, void*)> reacts)
      : react(std::move(reacts)) {
    static DRIVER_OBJECT driver;
    UNICODE_STRING text, name = unicode_literal(u"CmRegisterCallbackEx");
    RtlInitUnicodeString(&text, reinterpret_cast<PCWSTR>(altitude));
    const auto add = reinterpret_cast<decltype(::CmRegisterCallbackEx)*>(MmGetSystemRoutineAddress(&name));
    EXPECT_EQ(add(&call, &text, &driver, this, &cookie, nullptr), STATUS_SUCCESS);
  }
  ~other_callback() { CmUnRegisterCallback(cookie); }
  static NTSTATUS call(PVOID context, PVOID what, PVOID information) {
    return static_cast<other_callback*>(context)->react(
        static_cast<REG_NOTIFY_CLASS>(reinterpret_cast<uintptr_t>(what)), information);
  }
};
inline constexpr char16_t above[] = u"399000";
inline constexpr char16_t below[] = u"320000";

inline constexpr uint8_t some_data[] = {1, 2, 3, 4, 5};

// Every operation once, as process 600.
inline void one_of_each(loaded_machine& on) {
  on.starter.become(1, 600, 604);
  EXPECT_EQ(sim::registry_create_key({.key = u"Acme\\Sub", .root = software, .desired_access = KEY_WRITE}),
            STATUS_SUCCESS);
  EXPECT_EQ(sim::registry_open_key({.key = key, .desired_access = KEY_READ}), STATUS_SUCCESS);
  EXPECT_EQ(sim::registry_set_value({.key = key, .value = u"Path", .type = REG_BINARY, .data = some_data}),
            STATUS_SUCCESS);
  EXPECT_EQ(sim::registry_delete_value({.key = key, .value = u"Path"}), STATUS_SUCCESS);
  EXPECT_EQ(
      sim::registry_rename_key({.key = u"\\REGISTRY\\MACHINE\\SOFTWARE\\Acme\\Sub", .new_name = u"Bus"}),
      STATUS_SUCCESS);
  EXPECT_EQ(sim::registry_delete_key({.key = u"\\REGISTRY\\MACHINE\\SOFTWARE\\Acme\\Bus"}), STATUS_SUCCESS);
  on.starter.become(0, 4, 8);
}

}  // namespace sluice::test
