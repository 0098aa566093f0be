#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

struct object : testing::Test {
  machine system;
  activity thread{system, 0, 100, 101};
};
using object_death_test = object;

TEST_F(object, a_handle_refers_to_an_object_of_its_type) {
  PETHREAD self = PsGetCurrentThread();
  HANDLE handle;
  ASSERT_EQ(ObOpenObjectByPointer(self, OBJ_KERNEL_HANDLE, nullptr, 0, *PsThreadType, KernelMode, &handle),
            STATUS_SUCCESS);
  PVOID found = nullptr;
  EXPECT_EQ(ObReferenceObjectByHandle(handle, 0, *PsThreadType, KernelMode, &found, nullptr), STATUS_SUCCESS);
  EXPECT_EQ(found, self);
  ObDereferenceObject(found);
  EXPECT_EQ(ObReferenceObjectByHandle(handle, 0, *PsProcessType, KernelMode, &found, nullptr),
            STATUS_OBJECT_TYPE_MISMATCH);
  EXPECT_EQ(ZwClose(handle), STATUS_SUCCESS);
  EXPECT_EQ(ObReferenceObjectByHandle(handle, 0, nullptr, KernelMode, &found, nullptr), STATUS_INVALID_HANDLE);
}

TEST_F(object, the_current_thread_has_a_pseudo_handle) {
  PVOID found;
  ASSERT_EQ(ObReferenceObjectByHandle(NtCurrentThread(), 0, *PsThreadType, KernelMode, &found, nullptr), STATUS_SUCCESS);
  EXPECT_EQ(found, PsGetCurrentThread());
  ObDereferenceObject(found);
}

TEST_F(object_death_test, a_handle_is_closed_once) {
  HANDLE handle;
  ObOpenObjectByPointer(PsGetCurrentProcess(), OBJ_KERNEL_HANDLE, nullptr, 0, *PsProcessType, KernelMode, &handle);
  ZwClose(handle);
  EXPECT_BUG_CHECK(ZwClose(handle), "INVALID_KERNEL_HANDLE");
}

TEST_F(object_death_test, a_reference_to_something_else_is_a_bug_check) {
  alignas(16) char nothing[256] = {};
  EXPECT_BUG_CHECK(ObReferenceObject(nothing + 128), "REFERENCE_BY_POINTER");
}

}  // namespace
}  // namespace sluice::sim
