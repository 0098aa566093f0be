// The registry of the simulated kernel: what its callbacks are told, in which order, and what they may do
// about it.
#include <chrono>

#include "tests/kernel_port/sim_registry_support.h"

namespace sluice::sim {
namespace {

struct older_registry : testing::TestWithParam<kernel_level> {
  machine system{{.level = GetParam()}};
  activity thread{system, 0, 100, 101};
};

TEST_F(registry, an_operation_is_told_before_and_after_in_the_thread_that_makes_it) {
  watcher on("only", u"360000", [](watcher& self, REG_NOTIFY_CLASS what, void* information) {
    EXPECT_EQ(PsGetCurrentProcessId(), id(100));
    EXPECT_EQ(PsGetCurrentThreadId(), id(101));
    EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    if (what == RegNtPreSetValueKey) {
      auto& set = *static_cast<PREG_SET_VALUE_KEY_INFORMATION>(information);
      EXPECT_EQ(self.path_of(set.Object), key);
      EXPECT_EQ(text_of(set.ValueName), u"Path");
      EXPECT_EQ(set.Type, static_cast<ULONG>(REG_BINARY));
      EXPECT_EQ(set.DataSize, 3u);
      EXPECT_EQ(memcmp(set.Data, "abc", 3), 0);
      EXPECT_EQ(set.CallContext, nullptr);
      set.CallContext = &self;
    }
    if (what == RegNtPostSetValueKey) {
      const auto& post = *static_cast<PREG_POST_OPERATION_INFORMATION>(information);
      EXPECT_EQ(post.Status, STATUS_SUCCESS);
      EXPECT_EQ(post.CallContext, &self);
      const auto& set = *static_cast<PREG_SET_VALUE_KEY_INFORMATION>(post.PreInformation);
      EXPECT_EQ(text_of(set.ValueName), u"Path");
      EXPECT_EQ(self.path_of(post.Object), key);
    }
    return STATUS_SUCCESS;
  });
  const uint8_t abc[] = {'a', 'b', 'c'};
  EXPECT_EQ(registry_set_value({.key = key, .value = u"Path", .type = REG_BINARY, .data = abc}),
            STATUS_SUCCESS);
  EXPECT_EQ(on.seen, (std::vector{RegNtPreSetValueKey, RegNtPostSetValueKey}));
  EXPECT_EQ(raised().registry_set_value, 1u);
}

TEST_F(registry, a_relative_name_comes_with_its_root_and_the_result_has_the_full_path) {
  watcher on("only", u"360000", [](watcher& self, REG_NOTIFY_CLASS what, void* information) {
    if (what == RegNtPreCreateKeyEx) {
      const auto& create = *static_cast<PREG_CREATE_KEY_INFORMATION_V1>(information);
      EXPECT_EQ(create.Version, 1u);
      EXPECT_EQ(text_of(create.CompleteName), u"Acme\\Sub");
      EXPECT_EQ(self.path_of(create.RootObject), software);
      EXPECT_EQ(create.CheckAccessMode, UserMode);
    }
    if (what == RegNtPostCreateKeyEx) {
      const auto& post = *static_cast<PREG_POST_OPERATION_INFORMATION>(information);
      EXPECT_EQ(self.path_of(post.Object), u"\\REGISTRY\\MACHINE\\SOFTWARE\\Acme\\Sub");
      const auto& create = *static_cast<PREG_CREATE_KEY_INFORMATION_V1>(post.PreInformation);
      EXPECT_EQ(*create.Disposition, static_cast<ULONG>(REG_CREATED_NEW_KEY));
    }
    return STATUS_SUCCESS;
  });
  uint32_t disposition = 0;
  EXPECT_EQ(registry_create_key({.key = u"Acme\\Sub", .root = software}, &disposition), STATUS_SUCCESS);
  EXPECT_EQ(disposition, static_cast<uint32_t>(REG_CREATED_NEW_KEY));
  EXPECT_EQ(on.seen, (std::vector{RegNtPreCreateKeyEx, RegNtPostCreateKeyEx, RegNtPreKeyHandleClose,
                                  RegNtPostKeyHandleClose}));
}

TEST_F(registry, the_tree_decides_what_nobody_else_does) {
  uint32_t disposition = 0;
  EXPECT_EQ(registry_open_key({.key = key}), STATUS_OBJECT_NAME_NOT_FOUND);
  EXPECT_EQ(registry_create_key({.key = key}, &disposition), STATUS_SUCCESS);
  EXPECT_EQ(disposition, static_cast<uint32_t>(REG_CREATED_NEW_KEY));
  EXPECT_EQ(registry_create_key({.key = u"\\registry\\machine\\SOFTWARE\\ACME"}, &disposition),
            STATUS_SUCCESS);
  EXPECT_EQ(disposition, static_cast<uint32_t>(REG_OPENED_EXISTING_KEY)) << "case is no difference";
  EXPECT_EQ(registry_delete_value({.key = key, .value = u"v"}), STATUS_OBJECT_NAME_NOT_FOUND);
  EXPECT_EQ(registry_delete_key({.key = software}), STATUS_CANNOT_DELETE) << "it has a key below it";
  EXPECT_EQ(registry_rename_key({.key = key, .new_name = u"Emca"}), STATUS_SUCCESS);
  EXPECT_EQ(registry_open_key({.key = u"\\REGISTRY\\MACHINE\\SOFTWARE\\Emca"}), STATUS_SUCCESS);
  EXPECT_EQ(registry_open_key({.key = key}), STATUS_OBJECT_NAME_NOT_FOUND);
  EXPECT_EQ(registry_delete_key({.key = u"\\REGISTRY\\MACHINE\\SOFTWARE\\Emca"}), STATUS_SUCCESS);
  EXPECT_EQ(registry_delete_key({.key = software}), STATUS_SUCCESS);
}

TEST_F(registry, a_key_that_the_tree_does_not_know_is_taken_to_exist) {
  EXPECT_EQ(registry_delete_value({.key = key, .value = u"v"}), STATUS_SUCCESS)
      << "nobody knows what it held";
  EXPECT_EQ(registry_delete_key({.key = u"\\REGISTRY\\USER\\x\\y"}), STATUS_SUCCESS);
  EXPECT_EQ(registry_set_value({.key = key, .value = u"v", .outcome = STATUS_ACCESS_DENIED}),
            STATUS_ACCESS_DENIED);
}

TEST_F(registry, callbacks_run_from_the_highest_altitude_down_and_back) {
  const watcher low("low", u"320000"), middle("middle", u"360000.5"),
      middle_below("middle below", u"360000.49"), high("high", u"1000000"), plain("plain", nullptr),
      second_plain("second plain", nullptr);
  registry_delete_key({.key = key});
  EXPECT_EQ(watcher::order,
            (std::vector<std::string>{"plain", "second plain", "high", "middle", "middle below", "low", "low",
                                      "middle below", "middle", "high", "second plain", "plain"}));
}

TEST_F(registry, a_call_context_is_one_callbacks_own) {
  PVOID seen_below = &system, seen_after[2] = {};
  const auto leaves = [&](uint32_t index) {
    return [&, index](watcher& self, REG_NOTIFY_CLASS what, void* information) {
      if (what == RegNtPreDeleteKey) {
        auto& deletion = *static_cast<PREG_DELETE_KEY_INFORMATION>(information);
        if (index == 1) seen_below = deletion.CallContext;
        deletion.CallContext = &self;
      }
      if (what == RegNtPostDeleteKey) {
        seen_after[index] = static_cast<PREG_POST_OPERATION_INFORMATION>(information)->CallContext;
      }
      return STATUS_SUCCESS;
    };
  };
  watcher high("high", u"400000", leaves(0)), low("low", u"360000", leaves(1));
  registry_delete_key({.key = key});
  EXPECT_EQ(seen_below, nullptr) << "what the one above left is not seen";
  EXPECT_EQ(seen_after[0], &high);
  EXPECT_EQ(seen_after[1], &low);
}

TEST_F(registry, an_altitude_is_taken_once_and_is_a_number) {
  const watcher first("first", u"360000"), again("again", u"0360000.0"), odd("odd", u"36x"),
      empty("empty", u"");
  EXPECT_EQ(first.registered, STATUS_SUCCESS);
  EXPECT_EQ(again.registered, STATUS_FLT_INSTANCE_ALTITUDE_COLLISION);
  EXPECT_EQ(odd.registered, STATUS_INVALID_PARAMETER);
  EXPECT_EQ(empty.registered, STATUS_INVALID_PARAMETER);
  EXPECT_EQ(system.in_use().notify_routines, 1u);
  EXPECT_EQ(CmUnRegisterCallback(LARGE_INTEGER{}), STATUS_INVALID_PARAMETER);
}

TEST_F(registry, who_refuses_hears_no_end_those_above_do_and_those_below_hear_nothing) {
  NTSTATUS told = STATUS_SUCCESS;
  watcher high("high", u"400000", [&](watcher&, REG_NOTIFY_CLASS what, void* information) {
    if (what == RegNtPostSetValueKey)
      told = static_cast<PREG_POST_OPERATION_INFORMATION>(information)->Status;
    return STATUS_SUCCESS;
  });
  watcher middle("middle", u"380000", [](watcher&, REG_NOTIFY_CLASS, void*) { return STATUS_ACCESS_DENIED; });
  const watcher low("low", u"360000");
  EXPECT_EQ(registry_set_value({.key = key, .value = u"v"}), STATUS_ACCESS_DENIED);
  EXPECT_EQ(high.seen.size(), 2u);
  EXPECT_EQ(told, STATUS_ACCESS_DENIED);
  EXPECT_EQ(middle.seen.size(), 1u);
  EXPECT_TRUE(low.seen.empty());
  middle.react = nullptr;
  EXPECT_EQ(registry_query_value({.key = key, .value = u"v"}), STATUS_OBJECT_NAME_NOT_FOUND)
      << "it was not set";
}

TEST_F(registry, a_callback_may_answer_itself_before_and_change_the_answer_after) {
  watcher on("only", u"360000", [](watcher&, REG_NOTIFY_CLASS what, void* information) {
    if (what == RegNtPreDeleteKey) return STATUS_CALLBACK_BYPASS;
    if (what == RegNtPostSetValueKey) {
      static_cast<PREG_POST_OPERATION_INFORMATION>(information)->ReturnStatus = STATUS_INSUFFICIENT_RESOURCES;
      return STATUS_CALLBACK_BYPASS;
    }
    return STATUS_SUCCESS;
  });
  registry_create_key({.key = key});
  EXPECT_EQ(registry_delete_key({.key = key}), STATUS_SUCCESS);
  EXPECT_EQ(registry_open_key({.key = key}), STATUS_SUCCESS) << "it was not deleted";
  EXPECT_EQ(on.count(RegNtPostDeleteKey), 0u);
  EXPECT_EQ(registry_set_value({.key = key, .value = u"v"}), STATUS_INSUFFICIENT_RESOURCES);
}

TEST_F(registry, what_a_callback_does_itself_is_told_to_those_below_it_only) {
  watcher high("high", u"400000");
  watcher middle("middle", u"380000", [](watcher&, REG_NOTIFY_CLASS what, void*) {
    if (what != RegNtPreSetValueKey) return STATUS_SUCCESS;
    const string_over path(key);
    OBJECT_ATTRIBUTES attributes;
    InitializeObjectAttributes(&attributes, const_cast<string_over*>(&path), OBJ_KERNEL_HANDLE, nullptr,
                               nullptr);
    HANDLE handle;
    EXPECT_EQ(ZwCreateKey(&handle, KEY_ALL_ACCESS, &attributes, 0, nullptr, 0, nullptr), STATUS_SUCCESS);
    ZwClose(handle);
    return STATUS_SUCCESS;
  });
  const watcher low("low", u"360000");
  registry_set_value({.key = key, .value = u"v"});
  EXPECT_EQ(high.seen.size(), 2u);
  EXPECT_EQ(middle.seen.size(), 2u);
  EXPECT_EQ(low.seen, (std::vector{RegNtPreCreateKeyEx, RegNtPostCreateKeyEx, RegNtPreKeyHandleClose,
                                   RegNtPostKeyHandleClose, RegNtPreSetValueKey, RegNtPostSetValueKey}));
}

TEST_F(registry, reads_pass_by_the_callbacks_too) {
  const watcher on("only", u"360000");
  registry_set_value({.key = key, .value = u"v"});
  EXPECT_EQ(registry_query_value({.key = key, .value = u"v"}), STATUS_SUCCESS);
  registry_enumerate_key({.key = key}, 0);
  EXPECT_EQ(on.count(RegNtPreQueryValueKey), 1u);
  EXPECT_EQ(on.count(RegNtPostEnumerateKey), 1u);
}

TEST_F(registry, drivers_read_and_write_values) {
  const string_over path(key), name(u"v");
  OBJECT_ATTRIBUTES attributes;
  InitializeObjectAttributes(&attributes, const_cast<string_over*>(&path), OBJ_KERNEL_HANDLE, nullptr,
                             nullptr);
  HANDLE handle;
  ASSERT_EQ(ZwCreateKey(&handle, KEY_ALL_ACCESS, &attributes, 0, nullptr, 0, nullptr), STATUS_SUCCESS);
  auto* const value = const_cast<string_over*>(&name);
  ULONG number = 7, length = 0;
  EXPECT_EQ(ZwSetValueKey(handle, value, 0, REG_DWORD, &number, sizeof number), STATUS_SUCCESS);
  struct {
    KEY_VALUE_PARTIAL_INFORMATION information;
    UCHAR room[8];
  } buffer{};
  EXPECT_EQ(ZwQueryValueKey(handle, value, KeyValuePartialInformation, &buffer, sizeof buffer, &length),
            STATUS_SUCCESS);
  EXPECT_EQ(buffer.information.Data[0], 7u);
  EXPECT_EQ(ZwDeleteValueKey(handle, value), STATUS_SUCCESS);
  EXPECT_EQ(ZwQueryValueKey(handle, value, KeyValuePartialInformation, &buffer, sizeof buffer, &length),
            STATUS_OBJECT_NAME_NOT_FOUND);
  EXPECT_EQ(ZwDeleteKey(handle), STATUS_SUCCESS);
  ZwClose(handle);
}

TEST_F(registry, data_is_captured_before_the_first_callback) {
  user_memory data(100'000);
  memset(data.data(), 'x', data.size());
  PVOID given = nullptr;
  watcher on("only", u"360000", [&](watcher&, REG_NOTIFY_CLASS what, void* information) {
    if (what == RegNtPreSetValueKey) {
      given = static_cast<PREG_SET_VALUE_KEY_INFORMATION>(information)->Data;
      EXPECT_EQ(static_cast<char*>(given)[99'999], 'x');
    }
    return STATUS_SUCCESS;
  });
  EXPECT_EQ(registry_set_value({.key = key, .value = u"v", .user_data = &data}), STATUS_SUCCESS);
  EXPECT_NE(given, data.address());
  EXPECT_EQ(data.reads(), 1u);
  data.accessible_up_to(50'000);
  EXPECT_EQ(registry_set_value({.key = key, .value = u"v", .user_data = &data}), STATUS_ACCESS_VIOLATION);
  EXPECT_EQ(on.count(RegNtPreSetValueKey), 1u) << "nobody hears of a call whose arguments cannot be read";
}

TEST_P(older_registry, gives_callbacks_the_address_of_the_process) {
  user_memory data(16);
  PVOID given = nullptr;
  watcher on("only", nullptr, [&](watcher&, REG_NOTIFY_CLASS what, void* information) {
    if (what == RegNtPreSetValueKey) given = static_cast<PREG_SET_VALUE_KEY_INFORMATION>(information)->Data;
    if (what == RegNtPostSetValueKey) {
      EXPECT_EQ(static_cast<PREG_POST_OPERATION_INFORMATION>(information)->Status, STATUS_ACCESS_VIOLATION);
    }
    return STATUS_SUCCESS;
  });
  data.accessible_up_to(3);
  EXPECT_EQ(registry_set_value({.key = key, .value = u"v", .user_data = &data}), STATUS_ACCESS_VIOLATION);
  EXPECT_EQ(given, data.address());
  EXPECT_EQ(on.count(RegNtPostSetValueKey), 1u);
}

TEST_P(older_registry, has_the_functions_and_structures_of_its_time) {
  const bool vista = GetParam() >= kernel_level::vista;
  EXPECT_EQ(SYSTEM_ROUTINE(CmRegisterCallbackEx) != nullptr, vista);
  EXPECT_EQ(SYSTEM_ROUTINE(CmCallbackGetKeyObjectID) != nullptr, vista);
  EXPECT_EQ(SYSTEM_ROUTINE(CmCallbackGetKeyObjectIDEx), nullptr);
  watcher on("only", nullptr, [&](watcher& self, REG_NOTIFY_CLASS what, void* information) {
    if (what == RegNtPreCreateKeyEx) {
      EXPECT_EQ(static_cast<PREG_CREATE_KEY_INFORMATION>(information)->Reserved, nullptr);
    }
    if (what == RegNtPostCreateKeyEx) {
      PVOID const object = static_cast<PREG_POST_OPERATION_INFORMATION>(information)->Object;
      alignas(8) char room[256];
      ULONG needed = 0;
      EXPECT_EQ(ObQueryNameString(object, reinterpret_cast<POBJECT_NAME_INFORMATION>(room), 20, &needed),
                STATUS_INFO_LENGTH_MISMATCH);
      EXPECT_EQ(ObQueryNameString(object, reinterpret_cast<POBJECT_NAME_INFORMATION>(room), needed, &needed),
                STATUS_SUCCESS);
      EXPECT_EQ(text_of(&reinterpret_cast<POBJECT_NAME_INFORMATION>(room)->Name), key);
      if (vista) {
        PCUNICODE_STRING name = nullptr;
        EXPECT_EQ(SYSTEM_ROUTINE(CmCallbackGetKeyObjectID)(&self.cookie, object, nullptr, &name),
                  STATUS_SUCCESS);
        EXPECT_EQ(text_of(name), key);
      }
    }
    return STATUS_SUCCESS;
  });
  EXPECT_EQ(registry_create_key({.key = key}), STATUS_SUCCESS);
}

INSTANTIATE_TEST_SUITE_P(levels, older_registry, testing::Values(kernel_level::nt52, kernel_level::vista),
                         [](const auto& level) {
                           return level.param == kernel_level::vista ? "vista" : "nt52";
                         });

TEST_F(registry, a_process_can_change_its_memory_between_two_reads) {
  user_memory data(4);
  data.on_read([&](uint64_t nth) {
    data.data()[0] = static_cast<uint8_t>('a' + nth);
    if (nth == 1) data.accessible_up_to(0);
  });
  registry_set_value({.key = key, .value = u"v", .user_data = &data});
  EXPECT_EQ(registry_set_value({.key = key, .value = u"v", .user_data = &data}), STATUS_ACCESS_VIOLATION);
}

std::atomic<bool> entered, may_leave, left;

TEST_F(registry, unregistering_waits_for_running_callbacks) {
  entered = may_leave = left = false;
  auto on = std::make_unique<watcher>("only", u"360000", [](watcher&, REG_NOTIFY_CLASS what, void*) {
    if (what == RegNtPreDeleteKey) {
      entered = true;
      eventually([] { return may_leave.load(); });
      left = true;
    }
    return STATUS_SUCCESS;
  });
  std::thread deleter([&] {
    activity other(system, 1, 200, 201);
    registry_delete_key({.key = key});
  });
  eventually([] { return entered.load(); });
  std::thread helper([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_FALSE(left);
    may_leave = true;
  });
  const uint64_t posts_before = on->count(RegNtPostDeleteKey);
  on.reset();
  EXPECT_TRUE(left);
  EXPECT_EQ(posts_before, 0u);
  deleter.join();
  helper.join();
}

TEST_F(registry, a_hundred_thousand_operations_on_unknown_keys_are_no_matter) {
  const watcher on("only", u"360000", [](watcher& self, REG_NOTIFY_CLASS, void*) {
    self.seen.clear();
    watcher::order.clear();
    return STATUS_SUCCESS;
  });
  const uint8_t data[64] = {};
  for (uint32_t i = 0; i < 100'000; ++i) {
    std::u16string path(key);
    for (uint32_t digits = i % 5000; digits != 0; digits /= 10)
      path += {u'\\', static_cast<char16_t>(u'0' + digits % 10)};
    ASSERT_EQ(registry_set_value({.key = path, .value = u"v", .type = REG_BINARY, .data = data}),
              STATUS_SUCCESS);
  }
  EXPECT_EQ(raised().registry_set_value, 100'000u);
}

}  // namespace
}  // namespace sluice::sim
