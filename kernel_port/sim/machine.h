// The simulated machine, seen from outside: what a test, a source of activity or a tool does to it. Driver
// code never includes this; it includes <ntifs.h>, which this directory provides.
//
// One machine at a time per process. A host thread that runs kernel code must belong to the machine: it holds
// an activity (below), or the machine started it (system threads, DPC threads).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ntifs.h>

namespace sluice::sim {

// Functions that not every kernel has. A machine gives MmGetSystemRoutineAddress only for those it has.
enum class kernel_level {
  nt52,       // Server 2003: plain notify routines, no Ex/Ex2
  vista,      // process Ex
  windows8,   // KeQuerySystemTimePrecise
  windows10,  // process Ex2, thread Ex, image Ex, PsGetProcessStartKey
};

// A REG_DWORD under Services\<driver>\Parameters, for the driver to read at start.
struct service_parameter {
  std::u16string driver;
  std::u16string name;
  uint32_t value;
};

class memory_file;  // kernel_port/sim/memory_file.h

struct machine_options {
  uint32_t processors = 2;             // 1..256, whatever the host has
  uint32_t maximum_processors = 0;     // with those that can be added; 0: as many as there are
  uint32_t processors_per_group = 64;  // at most 64, as on Windows
  kernel_level level = kernel_level::windows10;
  int64_t counter_ahead = 0;       // of the performance counter, before the host's monotonic clock; ticks
  uint64_t seed = 0;               // 0: the host schedules freely; otherwise the seam perturbs by this seed
  bool check_paged_access = true;  // paged memory touched at DISPATCH_LEVEL is a bug check
  // What MmGetSystemRoutineAddress does not find, whatever the level.
  std::vector<std::u16string> missing_routines = {};
  // Pageable code that runs at DISPATCH_LEVEL, and code of INIT after DriverEntry, is a bug check (kernel_port/sim/pageable_code.h).
  bool check_code_sections = false;
  bool integrity_checked_images = true;  // drivers are taken as linked with FORCE_INTEGRITY
  std::vector<service_parameter> service_parameters = {};
  // Where non-paged blocks of a page or more are kept; outlives the machine. Null: on the host's heap.
  memory_file* memory = nullptr;
  // Non-paged blocks of a page or more can be mapped into processes (kernel_port/sim/shared_memory.h); not with `memory`. Each holds a
  // descriptor of this process.
  bool shared_memory = false;
  bool filter_manager_started = true;      // else FltRegisterFilter says so, until machine::start_filter_manager
  bool filter_instances_installed = true;  // the Instances keys that an INF makes for each driver's service
};

class machine {
 public:
  explicit machine(const machine_options& options = {});
  ~machine();  // a driver still loaded, a pool block, thread, timer or registration left over is a bug check
  machine(const machine&) = delete;
  machine& operator=(const machine&) = delete;

  static machine& current();  // the one machine; asserts that there is one

  const machine_options& options() const;

  // Adds the next processor, as hardware that is plugged in does: callbacks of drivers are told before it runs and after. What a
  // callback that refuses it says; STATUS_NOT_SUPPORTED: there are as many as there can be. Any host thread.
  NTSTATUS add_processor();
  uint32_t processors() const;  // that run now

  // Drivers. `name` becomes \Driver\name. load_driver runs `entry` in the system process; unload_driver runs
  // DriverUnload and then checks that nothing of the driver is left. A filter's unload callback runs before
  // DriverUnload; if it refuses, its status is the answer.
  NTSTATUS load_driver(std::string_view name, PDRIVER_INITIALIZE entry);
  NTSTATUS unload_driver(std::string_view name);

  // The filter manager starts now: later than boot drivers did.
  void start_filter_manager();

  // Failure injection: the n-th (from 1) call from now on of that kind fails, with this status where it returns one. 0 switches it off.
  enum class failure {
    pool_allocation,
    thread_creation,
    notify_registration,
    device_creation,
    symbolic_link,
    security_change,  // ZwSetSecurityObject
    driver_object,
    filter_registration,
    port_creation,
    callback_registration,  // of processor changes, and in callback objects
    user_mapping,           // MmMapLockedPagesSpecifyCache
    handle_opening,         // ObOpenObjectByPointer
    handle_reference,       // ObReferenceObjectByHandle
    object_lookup,          // PsLookupProcessByProcessId, PsLookupThreadByThreadId
    thread_query,           // ZwQueryInformationThread
    name_query,             // ObQueryNameString with room for the name, CmCallbackGetKeyObjectID
    registry_read,          // ZwOpenKey, ZwQueryValueKey
    callback_object,        // ExCreateCallback
    default_descriptor,     // FltBuildDefaultSecurityDescriptor
    filtering_start,        // FltStartFiltering
    message_sending         // FltSendMessage
  };
  static constexpr size_t failure_kinds = static_cast<size_t>(failure::message_sending) + 1;  // the last one's, and 1
  void fail_call(failure kind, uint64_t nth, NTSTATUS status = STATUS_INSUFFICIENT_RESOURCES);
  // Calls of that kind since the machine started, those that failed included.
  uint64_t calls(failure kind) const;

  // What the drivers hold now.
  struct usage {
    uint64_t pool_blocks, pool_bytes, system_threads, timers, notify_routines, devices, symbolic_links;
    uint64_t filters, filter_connections, filter_instances;
    uint64_t callbacks = 0;  // of processor changes, and in callback objects
    uint64_t user_mappings = 0;
    uint64_t handles = 0;  // of the kernel
  };
  usage in_use() const;

  // Total calls of ExAllocatePool* since start: "nothing is allocated per event" is a test.
  uint64_t pool_allocations() const;

  // Suspends and resumes the thread as PsSuspendThread would: at once if normal kernel APCs are delivered
  // there, otherwise when its critical region ends or its IRQL drops. suspend returns false if no such thread
  // exists.
  bool suspend_thread(uint32_t tid);
  bool resume_thread(uint32_t tid);

  // The performance counter (10 MHz), for all processors at the same moment; at any time, from any thread. On Windows it
  // rises steadily, but for a resume or the move of a virtual machine, which can set it back or forward. Stopped, it
  // stands still. Timers, waits and the interrupt time do not depend on it.
  void move_counter(int64_t ticks);
  // Somebody sets the system time, to 100 ns since 1601: \Callback\SetSystemTime is notified, by the caller, at PASSIVE_LEVEL; with a seed
  // sometimes at DISPATCH_LEVEL, which the documentation allows. Neither counter nor interrupt time change.
  void set_system_time(uint64_t utc);
  uint64_t system_time() const;
  void stop_counter();
  void run_counter();

  // What makes a touch of paged memory at DISPATCH_LEVEL a bug check on this host.
  enum class paged_check {
    off,              // machine_options::check_paged_access is false
    protection_keys,  // per thread and exact
    trimming,  // raising to DISPATCH_LEVEL pages everything out: exact for the raising thread, see the docs
  };
  paged_check paged_check_in_use() const;

  class implementation;
  implementation& detail();

 private:
  std::unique_ptr<implementation> implementation_;
};

// The calling host thread acts as thread (pid, tid) of the machine, on virtual CPU `cpu`, at PASSIVE_LEVEL.
// Below DISPATCH_LEVEL such a thread is preemptible: other threads of the same virtual CPU run at the same
// time.
class activity {
 public:
  activity(machine& machine, uint32_t cpu, uint32_t pid, uint32_t tid);
  ~activity();
  activity(const activity&) = delete;
  activity& operator=(const activity&) = delete;

  // The same host thread goes on as another thread, on another CPU. PASSIVE_LEVEL, outside critical regions.
  void become(uint32_t cpu, uint32_t pid, uint32_t tid);
  // Moves to another virtual CPU, as the scheduler of Windows may do at any time below DISPATCH_LEVEL.
  void migrate(uint32_t cpu);

 private:
  class implementation;
  std::unique_ptr<implementation> implementation_;
};

// What happens on the machine. Each of these runs in the calling thread's activity (its pid, tid and CPU are
// the context that callbacks see) and raises the registered callbacks as NT would: same IRQL, same critical
// region, same order.
struct process_creation {
  uint32_t pid = 0;
  uint32_t parent_pid = 0;
  std::optional<std::u16string> image_path;    // NT path; none: the callback sees NULL
  std::optional<std::u16string> command_line;  // none: the callback sees NULL
  bool file_open_name_available = true;        // PS_CREATE_NOTIFY_INFO.FileOpenNameAvailable
  bool subsystem_process = false;
};
// CreationStatus after all callbacks. STATUS_INVALID_CID if the pid is in use.
NTSTATUS create_process(const process_creation& creation);
// STATUS_INVALID_CID if there is no such process. Its remaining threads exit first. The callback runs in the
// caller.
// Afterwards its handles to ports are closed.
NTSTATUS exit_process(uint32_t pid, int32_t exit_status);

// What was there before anybody watched: known to the machine from now on, and no callback is raised. Any
// host thread; no activity is needed. STATUS_INVALID_CID if the pid (tid) is in use, or if there is no such
// process. (Added for kernel_port/sources/live, which registers the processes that run already when it
// starts.)
NTSTATUS add_existing_process(const process_creation& creation);
NTSTATUS add_existing_thread(uint32_t pid, uint32_t tid);

// The first thread of a process and any later one; the creator is the caller.
NTSTATUS create_thread(uint32_t pid, uint32_t tid, uint64_t start_address);
NTSTATUS exit_thread(uint32_t pid, uint32_t tid);

// Not known from now on, and no callback is raised: a recording does not tell of every end, and ids are used
// again. With a process its threads are forgotten. STATUS_INVALID_CID if there is none.
NTSTATUS forget_process(uint32_t pid);
NTSTATUS forget_thread(uint32_t tid);

struct image_loading {
  uint32_t pid = 0;  // 0: a driver
  uint64_t base = 0;
  uint64_t size = 0;
  bool system_mode = false;
  bool machine_mismatch = false;
  uint8_t signature_level = 0;
  uint8_t signature_type = 0;
  std::optional<std::u16string> path;  // NT path; none: the callback sees NULL
};
void load_image(const image_loading& loading);

// How many callbacks of each kind were raised while at least one routine of that kind was registered, since
// the machine started: the independent source for R3's `attempted`. A registered routine counts once per
// raise.
struct raised_counts {
  uint64_t process_create, process_exit, thread_create, thread_exit, image_load;
  // Operations that a registry callback was asked about before they happened.
  uint64_t registry_create_key, registry_open_key, registry_set_value, registry_delete_key, registry_delete_value,
      registry_rename_key;
};
raised_counts raised();

// Where the answers to requests go that nobody waits for.
class completion_port {
 public:
  // Once for each request, by the thread that completes it, which may be the one that still begins it; up to DISPATCH_LEVEL.
  // It does not wait, and calls nothing of the handle. `bytes` are gone when it returns; there are none with an error.
  virtual void completed(uint64_t key, NTSTATUS status, std::span<const uint8_t> bytes) noexcept = 0;

 protected:
  ~completion_port() = default;
};

// A handle to a device, as a user process in this machine would hold it. The owner must not close it while
// another thread is inside a call, except through cancel().
class file {
 public:
  file();
  ~file();
  file(file&&) noexcept;
  file& operator=(file&&) noexcept;

  // `name` is a DOS device name ("Sluice") that a driver has linked in \DosDevices. `pid` is the process that
  // opens, `user` who it runs as: a user of the host (root is SYSTEM, who this process runs as is an administrator).
  NTSTATUS open(machine& machine, std::u16string_view name, uint32_t pid, uint32_t user = 0);
  bool is_open() const;
  // STATUS_TIMEOUT: not completed in time; the request was cancelled and nothing was lost (if it completed
  // during the cancellation, its result is returned instead).
  NTSTATUS read(std::span<uint8_t> buffer, uint64_t& bytes,
                std::optional<std::chrono::nanoseconds> timeout = {});
  // Other methods than METHOD_BUFFERED reach the driver, but carry no output: METHOD_NEITHER addresses that fault, the direct ones no MDL.
  NTSTATUS control(uint32_t code, std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes,
                   std::optional<std::chrono::nanoseconds> timeout = {});
  // NtSetInformationFile with a class that the I/O manager leaves to the driver: FileEndOfFileInformation (20), ...
  NTSTATUS set_information(uint32_t information_class, std::span<const uint8_t> information);
  // Do not wait: the answer goes to `to`, which outlives the handle. Control codes of other methods than METHOD_BUFFERED:
  // STATUS_NOT_SUPPORTED. One thread.
  void begin_read(uint32_t capacity, uint64_t key, completion_port& to);
  void begin_control(uint32_t code, std::span<const uint8_t> in, uint32_t capacity, uint64_t key, completion_port& to);
  void cancel();              // every pending request of this handle; from any thread
  void cancel(uint64_t key);  // those that were begun with it
  void close();               // CLEANUP, then CLOSE

 private:
  struct state;
  std::unique_ptr<state> state_;
};

// Bug checks: what the machine does when a rule is broken. The default prints the name, code, arguments and a
// stack to stderr and aborts. There is no way to go on.
[[noreturn]] void bug_check(uint32_t code, const char* name, uint64_t argument1, uint64_t argument2,
                            uint64_t argument3, uint64_t argument4, const char* why);

}  // namespace sluice::sim

#include "kernel_port/sim/registry.h"  // what processes do to the registry
