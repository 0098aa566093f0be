// The registry of the simulated kernel: what it stops the run for.
#include "tests/kernel_port/sim_registry_support.h"

namespace sluice::sim {
namespace {

using registry_death_test = registry;

TEST_F(registry_death_test, memory_of_a_process_is_not_touched_without_a_handler) {
  user_memory data(16);
  EXPECT_BUG_CHECK(*static_cast<volatile char*>(data.address()), "SYSTEM_SERVICE_EXCEPTION");
}

TEST_F(registry_death_test, the_object_of_a_failed_open_is_not_one) {
  EXPECT_BUG_CHECK(
      {
        watcher on("only", u"360000", [](watcher& self, REG_NOTIFY_CLASS what, void* information) {
          if (what == RegNtPostOpenKeyEx)
            self.path_of(static_cast<PREG_POST_OPERATION_INFORMATION>(information)->Object);
          return STATUS_SUCCESS;
        });
        registry_open_key({.key = key});
      },
      "PAGE_FAULT_IN_NONPAGED_AREA");
}

TEST_F(registry_death_test, a_callback_that_unregisters_itself_waits_for_ever) {
  EXPECT_DEATH(
      {
        watcher on("only", u"360000",
                   [](watcher& self, REG_NOTIFY_CLASS, void*) { return CmUnRegisterCallback(self.cookie); });
        registry_delete_key({.key = key});
      },
      "STOP: 0x000000C4 \\(0x0+1000,");
}

TEST_F(registry_death_test, a_name_is_released_once) {
  EXPECT_BUG_CHECK(
      {
        watcher on("only", u"360000", [](watcher& self, REG_NOTIFY_CLASS what, void* information) {
          if (what != RegNtPreDeleteKey) return STATUS_SUCCESS;
          PCUNICODE_STRING name = nullptr;
          SYSTEM_ROUTINE(CmCallbackGetKeyObjectIDEx)
          (&self.cookie, static_cast<PREG_DELETE_KEY_INFORMATION>(information)->Object, nullptr, &name, 0);
          SYSTEM_ROUTINE(CmCallbackReleaseKeyObjectIDEx)(name);
          SYSTEM_ROUTINE(CmCallbackReleaseKeyObjectIDEx)(name);
          return STATUS_SUCCESS;
        });
        registry_delete_key({.key = key});
      },
      "BAD_POOL_CALLER");
}

TEST_F(registry_death_test, a_driver_that_leaves_its_callback_or_a_name_is_a_bug_check) {
  static LARGE_INTEGER cookie;
  static bool leaves_callback;
  const auto callback = +[](PVOID, PVOID what, PVOID information) -> NTSTATUS {
    if (static_cast<REG_NOTIFY_CLASS>(reinterpret_cast<uintptr_t>(what)) == RegNtPreDeleteKey) {
      PCUNICODE_STRING name;
      SYSTEM_ROUTINE(CmCallbackGetKeyObjectIDEx)
      (&cookie, static_cast<PREG_DELETE_KEY_INFORMATION>(information)->Object, nullptr, &name, 0);
    }
    return STATUS_SUCCESS;
  };
  const auto run = [&](bool leave) {
    leaves_callback = leave;
    scripted_driver script;
    script.on_entry = [&](PDRIVER_OBJECT, PUNICODE_STRING) {
      return CmRegisterCallback(callback, nullptr, &cookie);
    };
    script.on_unload = [](PDRIVER_OBJECT) {
      if (!leaves_callback) CmUnRegisterCallback(cookie);
    };
    system.load_driver("Leaky", scripted_driver::entry);
    registry_delete_key({.key = key});
    system.unload_driver("Leaky");
  };
  EXPECT_BUG_CHECK_SAYING(run(true), "DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS",
                          "registry callback");
  EXPECT_BUG_CHECK_SAYING(run(false), "DRIVER_VERIFIER_DETECTED_VIOLATION", "key names");
}

TEST(registry_levels_death_test, nt52_has_no_call_context) {
  machine system({.level = kernel_level::nt52});
  activity thread(system, 0, 100, 101);
  EXPECT_BUG_CHECK(
      {
        watcher on("only", nullptr, [](watcher&, REG_NOTIFY_CLASS what, void* information) {
          if (what == RegNtPreDeleteKey)
            static_cast<PREG_DELETE_KEY_INFORMATION>(information)->CallContext = nullptr;
          return STATUS_SUCCESS;
        });
        registry_delete_key({.key = key});
      },
      "KERNEL_SECURITY_CHECK_FAILURE");
}

}  // namespace
}  // namespace sluice::sim
