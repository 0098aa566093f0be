// The event schema: payloads of the library's own record types. Documented field by field in docs/events.md (source of
// each field, the IRQL it needs, what stands there when the kernel cannot give it).
//
// Fixed width, explicit padding, little-endian; version 1 of each. A newer version only appends. A reader takes the
// fields that the payload is long enough for. Strings are UTF-16LE, not NUL-terminated, and stand behind the struct.
// Freestanding.
#pragma once

#include "pipeline/record.h"

namespace sluice {

inline constexpr uint16_t event_type_process_create = 8;
inline constexpr uint16_t event_type_process_exit = 9;
inline constexpr uint16_t event_type_thread_create = 10;
inline constexpr uint16_t event_type_thread_exit = 11;
inline constexpr uint16_t event_type_image_load = 12;
inline constexpr uint16_t event_type_registry_create_key = 13;
inline constexpr uint16_t event_type_registry_open_key = 14;
inline constexpr uint16_t event_type_registry_set_value = 15;
inline constexpr uint16_t event_type_registry_delete_key = 16;
inline constexpr uint16_t event_type_registry_delete_value = 17;
inline constexpr uint16_t event_type_registry_rename_key = 18;

inline constexpr uint8_t event_version = 1;

inline constexpr uint16_t string_flag_truncated = 0x0001;    // `length` is less than `original_length`
inline constexpr uint16_t string_flag_unavailable = 0x0002;  // the kernel gave none; length is 0
inline constexpr uint16_t string_flag_source_gone = 0x0004;  // the source had gone before it could be asked (live source)

// A string of a payload. Offsets count from the payload's first byte; lengths are bytes, even.
struct string_field {
  uint16_t offset;
  uint16_t length;
  uint16_t original_length;
  uint16_t flags;
};
static_assert(sizeof(string_field) == 8);

// Raw bytes of a payload. The flags are those of strings.
struct bytes_field {
  uint32_t offset;
  uint32_t length;
  uint32_t original_length;
  uint32_t flags;
};
static_assert(sizeof(bytes_field) == 16);

// First in every notify event: the process and thread in which it happened.
struct event_context {
  uint32_t pid;
  uint32_t tid;
};
static_assert(sizeof(event_context) == 8);

inline constexpr uint32_t process_flag_subsystem = 0x0001;        // not a Win32 process (WSL, Pico)
inline constexpr uint32_t process_flag_exact_image_path = 0x0002; // image path is the one the file was opened by
inline constexpr uint32_t process_flag_denied = 0x0004;           // a callback before ours denied the creation
inline constexpr uint32_t process_flag_no_start_key = 0x0008;     // start_key holds the creation time instead (older kernels)
inline constexpr uint32_t process_flag_no_details = 0x0010;       // plain notify routine: pids only
inline constexpr uint32_t process_flag_no_exit_status = 0x0020;   // exit_status is 0 because the kernel gave none

struct process_create_payload {
  event_context context;
  uint32_t pid;
  uint32_t parent_pid;
  uint32_t creating_pid;
  uint32_t creating_tid;
  uint64_t start_key;
  uint32_t flags;
  uint32_t reserved;
  string_field image_path;
  string_field command_line;
};
static_assert(sizeof(process_create_payload) == 56);
static_assert(offsetof(process_create_payload, start_key) == 24);
static_assert(offsetof(process_create_payload, image_path) == 40);

struct process_exit_payload {
  event_context context;
  uint32_t pid;
  int32_t exit_status;
  uint64_t start_key;
  uint32_t flags;
  uint32_t reserved;
};
static_assert(sizeof(process_exit_payload) == 32);

inline constexpr uint32_t thread_flag_remote = 0x0001;            // created by another process, and not its first thread
inline constexpr uint32_t thread_flag_no_start_address = 0x0002;  // start_address is 0: it could not be asked at this IRQL

inline constexpr uint32_t thread_flag_remote_uncertain = 0x0004;  // it may have been the first thread: not known here

// thread_create and thread_exit. For an exit, creator is 0 and the context is the exiting thread's own.
struct thread_payload {
  event_context context;
  uint32_t pid;
  uint32_t tid;
  uint32_t creator_pid;
  uint32_t creator_tid;
  uint64_t start_address;
  uint32_t flags;
  uint32_t reserved;
};
static_assert(sizeof(thread_payload) == 40);
static_assert(record_header_size + sizeof(thread_payload) <= 64, "a thread event must not exceed 64 bytes in all");

inline constexpr uint32_t image_flag_system = 0x0001;                 // IMAGE_INFO.SystemModeImage
inline constexpr uint32_t image_flag_machine_mismatch = 0x0002;       // IMAGE_INFO.MachineTypeMismatch

struct image_load_payload {
  event_context context;
  uint32_t pid;  // 0: a driver
  uint32_t flags;
  uint64_t base;
  uint64_t size;
  uint8_t signature_level;  // IMAGE_INFO.ImageSignatureLevel
  uint8_t signature_type;   // IMAGE_INFO.ImageSignatureType
  uint16_t reserved0;
  uint32_t reserved1;
  string_field path;
};
static_assert(sizeof(image_load_payload) == 48);
static_assert(offsetof(image_load_payload, path) == 40);

inline constexpr uint32_t registry_flag_no_outcome = 0x0001;      // status is 0: this kernel cannot tell how the operation ended
inline constexpr uint32_t registry_flag_no_disposition = 0x0002;  // disposition is 0: it was not given, or could not be read
inline constexpr uint32_t registry_flag_relative_path = 0x0004;   // the root key's path could not be had: key_path is relative to it

// Second in every registry event.
struct registry_outcome {
  int32_t status;  // NTSTATUS, as of our altitude
  uint32_t flags;
};
static_assert(sizeof(registry_outcome) == 8);

// registry_create_key, registry_open_key and registry_delete_key.
struct registry_key_payload {
  event_context context;
  registry_outcome outcome;
  uint32_t disposition;     // create: 1 created, 2 opened an existing one
  uint32_t desired_access;  // create, open
  string_field key_path;
};
static_assert(sizeof(registry_key_payload) == 32);
static_assert(offsetof(registry_key_payload, outcome) == 8);
static_assert(offsetof(registry_key_payload, key_path) == 24);

// registry_set_value and registry_delete_value (which has no type and no data).
struct registry_value_payload {
  event_context context;
  registry_outcome outcome;
  uint32_t value_type;  // REG_SZ, ...; any number that the caller gave
  uint32_t reserved;
  string_field key_path;
  string_field value_name;
  bytes_field data;
};
static_assert(sizeof(registry_value_payload) == 56);
static_assert(offsetof(registry_value_payload, outcome) == 8);
static_assert(offsetof(registry_value_payload, data) == 40);

struct registry_rename_payload {
  event_context context;
  registry_outcome outcome;
  string_field key_path;  // before
  string_field new_name;  // of its last component
};
static_assert(sizeof(registry_rename_payload) == 32);
static_assert(offsetof(registry_rename_payload, outcome) == 8);
static_assert(offsetof(registry_rename_payload, new_name) == 24);

// The clock's relation to UTC: at the stream's time `counter` (the counter's value, until the clock has stepped back) it was
// `utc` (100 ns units since 1601-01-01).
struct anchor_payload {
  uint64_t counter;
  uint64_t frequency;  // counter ticks per second
  uint64_t utc;
};
static_assert(sizeof(anchor_payload) == 24);

// The clock has stepped back (resume, migration of a virtual machine). Times of the stream go on, and never decrease: from
// here on they are counter + offset, mod 2^64. An anchor follows. Made by the merge (pipeline/epoch.h): no record of a ring.
struct epoch_payload {
  uint32_t epoch;  // 1, 2, ... since the driver was loaded
  uint32_t reserved;
  uint64_t offset;
  uint64_t first_counter;  // no event of the epoch is older
};
static_assert(sizeof(epoch_payload) == 24);

// A reservation that has been open longer than the limit: which, by whom, how long. Its record, if it ever comes, is
// delivered late.
struct overdue_payload {
  uint64_t position;  // identity of the open record
  uint64_t time;      // its timestamp, ticks
  uint64_t age;       // ticks
  uint32_t type;      // of the open record
  uint16_t cpu;
  uint8_t lane;
  uint8_t reserved;
  uint32_t pid;       // who holds it; 0 where not known
  uint32_t tid;
};
static_assert(sizeof(overdue_payload) == 40);

// Own types: a driver declares a name and a layout; the declaration stands in the stream before the first event of the
// type, and can be asked for at any time.
enum class field_kind : uint8_t {
  unsigned_integer = 1,  // size 1, 2, 4 or 8
  signed_integer = 2,    // size 1, 2, 4 or 8
  hexadecimal = 3,       // size 1, 2, 4 or 8; shown in hexadecimal
  utf16_string = 4,      // a string_field; size 8
  bytes = 5,             // `size` raw bytes; shown in hexadecimal
};

inline constexpr uint32_t max_name_length = 32;  // bytes of ASCII, NUL-padded; 32 need no NUL
inline constexpr uint32_t max_fields = 32;

struct field_declaration {
  char name[max_name_length];
  uint16_t offset;  // in the payload
  uint16_t size;    // bytes
  field_kind kind;
  uint8_t reserved[3];
};
static_assert(sizeof(field_declaration) == 40);

struct type_declaration_payload {
  uint16_t type;
  uint8_t version;
  uint8_t reserved;
  uint32_t field_count;
  char name[max_name_length];
  // field_declaration fields[field_count] follows
};
static_assert(sizeof(type_declaration_payload) == 40);

}  // namespace sluice
