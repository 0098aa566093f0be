// What processes do to the registry of the simulated machine, and memory of theirs that the kernel must not
// trust.
//
// Each operation runs in the calling thread's activity, at PASSIVE_LEVEL: the callbacks see its pid and tid.
// It passes the callbacks by altitude, then a small tree of keys in memory, then those callbacks again that
// had let it pass.
//
// The tree need not know a key: whoever sets, deletes or renames below a path held a handle to it already, so
// it exists from then on, with contents that nobody knows. Names are NT paths (\REGISTRY\MACHINE\...); case
// is kept as given, and folded (ASCII) to compare.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include <ntifs.h>

namespace sluice::sim {

// A buffer in a process' own memory. The kernel is given address(); it can change, and be gone, between any
// two reads, and the one way to read it is copy_from_user_memory (producers/user_memory.h). Any other touch
// is a bug check: on Windows it would be one as soon as the process unmaps the page. Needs a machine; any
// host thread.
class user_memory {
 public:
  explicit user_memory(size_t bytes);  // zeroes
  explicit user_memory(std::span<const uint8_t> content);
  ~user_memory();
  user_memory(const user_memory&) = delete;
  user_memory& operator=(const user_memory&) = delete;

  uint8_t* data();  // the process' own view of it
  size_t size() const;
  void* address() const;
  // Reading at or behind this offset faults from now on. size(): all of it can be read.
  void accessible_up_to(size_t bytes);
  // Runs in the reading thread before each read of the kernel (from 0): the process writes or unmaps at that
  // moment.
  void on_read(std::function<void(uint64_t nth)> act);
  uint64_t reads() const;

  struct state;

 private:
  std::unique_ptr<state> state_;
};

struct registry_key_call {
  std::u16string_view key;                       // absolute, or relative to `root`
  std::optional<std::u16string_view> root = {};  // absolute: the key that the caller holds a handle to
  std::optional<NTSTATUS> outcome = {};          // what the registry itself answers; none: the tree decides
  ACCESS_MASK desired_access = KEY_ALL_ACCESS;   // create, open
  std::optional<uint32_t> disposition = {};      // create: REG_CREATED_NEW_KEY...; none: the tree decides
  user_memory* disposition_buffer = nullptr;  // create: where the caller wants the disposition; its 4 bytes
  KPROCESSOR_MODE mode = UserMode;
};

// Creates it, or opens it if it exists. The handle is closed at the end.
NTSTATUS registry_create_key(const registry_key_call& call, uint32_t* disposition = nullptr);
// STATUS_OBJECT_NAME_NOT_FOUND if the tree does not know it.
NTSTATUS registry_open_key(const registry_key_call& call);
// STATUS_CANNOT_DELETE if the tree knows keys below it.
NTSTATUS registry_delete_key(const registry_key_call& call);

struct registry_value_call {
  std::u16string_view key;  // absolute: the caller holds a handle to it
  std::u16string_view value = {};
  uint32_t type = REG_NONE;
  std::span<const uint8_t> data = {};
  // Instead of `data`: a buffer of the process. Windows 8 captures it before the first callback; older
  // kernels give callbacks the process' own address.
  user_memory* user_data = nullptr;
  std::optional<NTSTATUS> outcome = {};
};

NTSTATUS registry_set_value(const registry_value_call& call);
// STATUS_OBJECT_NAME_NOT_FOUND if the tree knows everything the key holds, and not this.
NTSTATUS registry_delete_value(const registry_value_call& call);

struct registry_rename_call {
  std::u16string_view key;       // absolute
  std::u16string_view new_name;  // its last component from now on
  std::optional<NTSTATUS> outcome = {};
};
NTSTATUS registry_rename_key(const registry_rename_call& call);

// Reads: the callbacks see them pass.
NTSTATUS registry_query_value(const registry_value_call& call);
NTSTATUS registry_enumerate_key(const registry_key_call& call, uint32_t index);

}  // namespace sluice::sim
