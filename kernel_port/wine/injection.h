// Test-only: what a test inside a Wine prefix says to our substitutes for the kernel's parts (kernel_port/wine/), so that they raise
// callbacks and tell what they have counted. The shipped driver knows nothing of it.
//
// The substitutes have a device of this name, which any process of the prefix may open, several at a time. Controls are
// METHOD_BUFFERED and answered at once. A message of another version: STATUS_REVISION_MISMATCH; one whose length contradicts itself
// or that asks for something unknown: STATUS_INVALID_PARAMETER. Fixed width, little-endian; strings are UTF-16 without a terminator.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace sluice::wine {

inline constexpr char16_t injection_device_name[] = u"\\Device\\SluiceInjection";
inline constexpr char16_t injection_link_name[] = u"\\DosDevices\\SluiceInjection";
inline constexpr char16_t injection_path[] = u"\\\\.\\SluiceInjection";  // for CreateFileW
inline constexpr uint32_t injection_version = 1;

constexpr uint32_t injection_control(uint32_t function) {
  constexpr uint32_t device_type = 0x8001;  // vendor-defined range
  constexpr uint32_t any_access = 0, method_buffered = 0;
  return device_type << 16 | any_access << 14 | function << 2 | method_buffered;
}
inline constexpr uint32_t code_raise = injection_control(0x940);     // in: injected_event, strings and data behind it; out: raise_answer
inline constexpr uint32_t code_counters = injection_control(0x941);  // out: injection_counters
inline constexpr uint32_t code_watch = injection_control(0x942);     // in: watch_choice

enum class injected_kind : uint32_t {
  process_create = 0,
  process_exit = 1,
  thread_create = 2,
  thread_exit = 3,
  image_load = 4,
  // Registry: the callback before the operation, then the one after it, with `status`.
  registry_create_key = 5,
  registry_open_key = 6,
  registry_set_value = 7,
  registry_delete_key = 8,
  registry_delete_value = 9,
  registry_rename_key = 10,
};
inline constexpr uint32_t injected_kind_count = 11;

inline constexpr uint32_t any_cpu = 0xffffffff;
inline constexpr uint32_t injected_flag_no_path = 0x0001;          // the callback sees NULL where `path` would stand
inline constexpr uint32_t injected_flag_no_text = 0x0002;          // and where `text` would
inline constexpr uint32_t injected_flag_address = 0x0004;          // registry_set_value: the data stands at `value` itself, which need not be readable
inline constexpr uint32_t injected_flag_system_image = 0x0008;     // image_load: SystemModeImage
inline constexpr uint32_t max_injected_bytes = 64 * 1024;          // of one message

// Raises it `count` times, one after another, at PASSIVE_LEVEL on the virtual CPU `cpu`, in process `current_pid` and thread
// `current_tid` as callbacks see them. The answer comes when the last callback has returned. Repetition n has base + n * base_step, or
// with a process or a thread pid + n * 4 (tid + n * 4).
struct injected_event {
  uint32_t version;
  uint32_t bytes;         // of the whole message
  injected_kind kind;
  uint32_t flags;         // injected_flag_*
  uint32_t count;         // at least 1
  uint32_t cpu;           // of the virtual CPUs, or any_cpu
  uint32_t current_pid;
  uint32_t current_tid;
  uint32_t pid;           // process and thread events: of whom; image_load: in which
  uint32_t tid;           // thread events
  uint32_t parent_pid;    // process_create
  uint32_t status;        // process_exit: the exit status; registry: NTSTATUS of the operation
  uint64_t base;          // image_load: ImageBase; thread_create: the start address
  uint64_t base_step;
  uint64_t size;          // image_load: ImageSize; registry_set_value: of the data
  uint64_t value;         // registry_set_value with injected_flag_address: where the data stands
  uint32_t value_type;    // registry_set_value: REG_*
  // Behind this, in this order; each in bytes.
  uint32_t path_bytes;    // process_create: the image; image_load: the image; registry: the whole name of the key
  uint32_t text_bytes;    // process_create: the command line; registry: the name of the value, or the new name
  uint32_t data_bytes;    // registry_set_value
};
static_assert(sizeof(injected_event) == 96 && offsetof(injected_event, base) == 48);

struct raise_answer {
  uint32_t version;
  uint32_t raised;   // repetitions that at least one routine was called for
  uint32_t refused;  // of these: a process creation or a registry operation that a routine has refused
  uint32_t reserved;
};
static_assert(sizeof(raise_answer) == 16);

// Since the substitutes were loaded.
struct injection_counters {
  uint32_t version;
  uint32_t cpu_count;       // virtual CPUs
  uint64_t raised[injected_kind_count];  // callbacks raised while a routine of their kind was registered: injected ones, and what happened in the prefix
  uint64_t irql_violations;  // rules that a driver has broken: a function above its level, a wait at DISPATCH_LEVEL, a lock released that is not held
  uint64_t pool_violations;  // freed twice, another tag, written behind the end
  uint64_t dpcs_run;
  uint64_t faults_caught;   // that a driver's own handler has taken
  uint64_t pool_blocks;     // allocated by drivers and not freed: 0 when none is loaded
  uint32_t filters;         // registered now
  uint32_t ports;           // server ports that are open now
  uint32_t connections;     // of clients, open on the driver's side
  uint32_t reserved;
  char16_t last_violation[64];  // the last rule that was broken, with zeros behind; empty: none
};
static_assert(sizeof(injection_counters) == 8 + 8 * injected_kind_count + 40 + 16 + 128);

// What happens in the prefix and is raised without being injected. At first all of it is.
struct watch_choice {
  uint32_t version;
  uint32_t processes;  // 1: processes that start and end; 0: nobody looks
};
static_assert(sizeof(watch_choice) == 8);

}  // namespace sluice::wine
