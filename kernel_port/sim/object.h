// Object manager: counted objects with a header in front of the body, as on NT, and a handle table. Bodies
// that can be waited for begin with a DISPATCHER_HEADER.
#pragma once

#include <new>
#include <unordered_map>

#include "kernel_port/sim/internal_lock.h"

struct _OBJECT_TYPE {
  const char* name;
  void (*destroy)(void* body);  // when the last reference goes; the memory is freed by the caller
};

namespace sluice::sim {

struct alignas(16) object_header {
  uint64_t magic;
  POBJECT_TYPE type;
  std::atomic<int64_t> references;
};
inline constexpr uint64_t object_magic = 0x6c6f6f6b6f626a31;

extern _OBJECT_TYPE process_object_type;
extern _OBJECT_TYPE thread_object_type;
extern _OBJECT_TYPE file_object_type;
extern _OBJECT_TYPE device_object_type;
extern _OBJECT_TYPE driver_object_type;
extern _OBJECT_TYPE event_object_type;

inline object_header* header_of(void* body) {
  return static_cast<object_header*>(body) - 1;
}

void* create_object(_OBJECT_TYPE& type, size_t body_size);  // one reference, zeroed
void reference_object(void* body);
void dereference_object(void* body);

template <class Body>
Body* create_object(_OBJECT_TYPE& type) {
  return new (create_object(type, sizeof(Body))) Body();
}

struct handle_table {
  struct entry {
    void* object;
    driver_record* driver;
    ACCESS_MASK access;
  };
  internal_mutex mutex;
  std::unordered_map<uint64_t, entry> entries;
  uint64_t next = 0x1000;

  HANDLE insert(void* object, ACCESS_MASK access = 0);  // takes a reference
  // Null if there is no such handle; a reference for the caller.
  void* reference(HANDLE handle, ACCESS_MASK* access = nullptr);
  bool close(HANDLE handle);
  uint64_t count();
};

}  // namespace sluice::sim
