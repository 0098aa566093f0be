#include "kernel_port/wine/processes.h"

#include <array>
#include <map>

#include "kernel_port/wine/imports.h"
#include "kernel_port/wine/rules.h"

#ifndef STATUS_INVALID_CID
#define STATUS_INVALID_CID ((NTSTATUS)0xC000000B)
#endif

namespace sluice::wine {
namespace {

constexpr THREADINFOCLASS start_address_class = static_cast<THREADINFOCLASS>(9);  // ThreadQuerySetWin32StartAddress

struct thread_object {
  uint32_t references;
  uint32_t tid;
  uint32_t pid;
  uint64_t start_address;
  bool alive;
};

lock objects_lock;
std::array<process_object, 4096> processes;
std::array<thread_object, 256> threads;
uint64_t next_start_key = 1;

std::map<HANDLE, uint64_t>& start_addresses() {  // of handles to threads that are made up
  static auto* const made = new std::map<HANDLE, uint64_t>;
  return *made;
}

template <class object, size_t size>
object* in(std::array<object, size>& places, PVOID address) {
  auto* const candidate = static_cast<object*>(address);
  return candidate >= places.data() && candidate < places.data() + size ? candidate : nullptr;
}

// With the lock held.
process_object* find_alive(uint32_t pid) {
  for (process_object& each : processes) {
    if (each.references != 0 && each.alive && each.pid == pid) return &each;
  }
  return nullptr;
}

bool exists(uint32_t pid) {
  constexpr ULONG query = 0x1000;
  HANDLE const handle = OpenProcess(query, FALSE, pid);
  if (handle != nullptr) CloseHandle(handle);
  return handle != nullptr;
}

uint32_t number(HANDLE id) { return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(id)); }
HANDLE id_of(uint32_t number) { return reinterpret_cast<HANDLE>(uintptr_t{number}); }

NTSTATUS NTAPI lookup_process(HANDLE pid, PEPROCESS* process) {
  {
    const locked held(objects_lock);
    if (process_object* const known = find_alive(number(pid))) {
      ++known->references;
      *process = reinterpret_cast<PEPROCESS>(known);
      return STATUS_SUCCESS;
    }
    for (process_object& each : processes) {
      if (each.references == 0 || each.pid != number(pid)) continue;
      ++each.references;
      *process = reinterpret_cast<PEPROCESS>(&each);
      return STATUS_SUCCESS;
    }
  }
  if (!exists(number(pid))) return STATUS_INVALID_CID;
  process_object* const made = process_of(number(pid));
  if (made == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
  const locked held(objects_lock);
  ++made->references;
  *process = reinterpret_cast<PEPROCESS>(made);
  return STATUS_SUCCESS;
}

NTSTATUS NTAPI lookup_thread(HANDLE tid, PETHREAD* thread) {
  {
    const locked held(objects_lock);
    for (thread_object& each : threads) {
      if (each.references == 0 || !each.alive || each.tid != number(tid)) continue;
      ++each.references;
      *thread = reinterpret_cast<PETHREAD>(&each);
      return STATUS_SUCCESS;
    }
  }
  return PsLookupThreadByThreadId(tid, thread);
}

PEPROCESS NTAPI current_process() { return reinterpret_cast<PEPROCESS>(process_of(attached_process())); }
HANDLE NTAPI current_process_id() { return id_of(current_pid()); }
HANDLE NTAPI current_thread_id() {
  return this_thread().stands_in ? id_of(this_thread().tid) : PsGetCurrentThreadId();
}

process_object& process_at(PEPROCESS process) {
  static process_object nobody{};
  if (process_object* const found = in(processes, process)) return *found;
  report_violation("a process object that is none");
  return nobody;
}

HANDLE NTAPI process_id(PEPROCESS process) { return id_of(process_at(process).pid); }
LONGLONG NTAPI process_create_time(PEPROCESS process) { return process_at(process).create_time; }
NTSTATUS NTAPI process_exit_status(PEPROCESS process) { return process_at(process).exit_status; }
ULONGLONG NTAPI process_start_key(PEPROCESS process) { return process_at(process).start_key; }

LONG_PTR FASTCALL reference_object(PVOID object) {
  const locked held(objects_lock);
  if (process_object* const process = in(processes, object)) return ++process->references;
  if (thread_object* const thread = in(threads, object)) return ++thread->references;
  return ObfReferenceObject(object);
}

template <class object>
LONG_PTR give_back(object& of) {
  if (of.references == 0) {
    report_violation("an object dereferenced more often than it was referenced");
    return 0;
  }
  return --of.references;
}

LONG_PTR FASTCALL dereference_object(PVOID object) {
  {
    const locked held(objects_lock);
    if (process_object* const process = in(processes, object)) return give_back(*process);
    if (thread_object* const thread = in(threads, object)) return give_back(*thread);
  }
  return ObfDereferenceObject(object);
}

// The address space that a thread works in. KAPC_STATE keeps what it was before.
void NTAPI attach(PKPROCESS process, PRKAPC_STATE before) {
  before->Process = reinterpret_cast<PKPROCESS>(this_thread().attached);
  this_thread().attached = in(processes, process);
}
void NTAPI detach(PRKAPC_STATE before) { this_thread().attached = reinterpret_cast<process_object*>(before->Process); }

NTSTATUS NTAPI open_by_pointer(PVOID object, ULONG attributes, PACCESS_STATE state, ACCESS_MASK access,
                               POBJECT_TYPE type, KPROCESSOR_MODE mode, PHANDLE handle) {
  thread_object* const thread = in(threads, object);
  if (thread == nullptr) return ObOpenObjectByPointer(object, attributes, state, access, type, mode, handle);
  *handle = CreateEventW(nullptr, TRUE, FALSE, nullptr);  // a number that nothing else has
  const locked held(objects_lock);
  start_addresses()[*handle] = thread->start_address;
  return STATUS_SUCCESS;
}

NTSTATUS NTAPI query_thread(HANDLE handle, THREADINFOCLASS what, PVOID buffer, ULONG bytes, PULONG needed) {
  {
    const locked held(objects_lock);
    const auto known = start_addresses().find(handle);
    if (known != start_addresses().end()) {
      if (what != start_address_class || bytes != sizeof(PVOID)) return STATUS_INFO_LENGTH_MISMATCH;
      *static_cast<PVOID*>(buffer) = reinterpret_cast<PVOID>(known->second);
      return STATUS_SUCCESS;
    }
  }
  return ZwQueryInformationThread(handle, what, buffer, bytes, needed);
}

NTSTATUS NTAPI close(HANDLE handle) {
  {
    const locked held(objects_lock);
    start_addresses().erase(handle);
  }
  return ZwClose(handle);
}

const kernel_function table[] = {
    {"PsLookupProcessByProcessId", address_of(&lookup_process), APC_LEVEL},
    {"PsLookupThreadByThreadId", address_of(&lookup_thread), APC_LEVEL},
    {"IoGetCurrentProcess", address_of(&current_process), DISPATCH_LEVEL},
    {"PsGetCurrentProcessId", address_of(&current_process_id), DISPATCH_LEVEL},
    {"PsGetCurrentThreadId", address_of(&current_thread_id), DISPATCH_LEVEL},
    {"PsGetProcessId", address_of(&process_id), any_irql},
    {"PsGetProcessCreateTimeQuadPart", address_of(&process_create_time), any_irql},
    {"PsGetProcessExitStatus", address_of(&process_exit_status), any_irql},
    {"PsGetProcessStartKey", address_of(&process_start_key), any_irql},
    {"ObfReferenceObject", address_of(&reference_object), DISPATCH_LEVEL},
    {"ObfDereferenceObject", address_of(&dereference_object), DISPATCH_LEVEL},
    {"KeStackAttachProcess", address_of(&attach), APC_LEVEL},
    {"KeUnstackDetachProcess", address_of(&detach), APC_LEVEL},
    {"ObOpenObjectByPointer", address_of(&open_by_pointer), PASSIVE_LEVEL},
    {"ZwQueryInformationThread", address_of(&query_thread), PASSIVE_LEVEL},
    {"ZwClose", address_of(&close), PASSIVE_LEVEL},
};

}  // namespace

process_object* process_of(uint32_t pid) {
  const locked held(objects_lock);
  if (process_object* const known = find_alive(pid)) return known;
  for (process_object& place : processes) {
    if (place.references != 0) continue;
    LARGE_INTEGER now;
    GetSystemTimePreciseAsFileTime(&now);
    place = {1, pid, true, now.QuadPart, next_start_key++, 0};
    return &place;
  }
  return nullptr;
}

process_object* end_process(uint32_t pid, int32_t exit_status) {
  process_object* const process = process_of(pid);
  if (process == nullptr) return nullptr;
  const locked held(objects_lock);
  process->alive = false;
  process->exit_status = exit_status;
  return process;
}

void forget_process(process_object* process) {
  const locked held(objects_lock);
  if (process != nullptr) --process->references;
}

void know_thread(uint32_t tid, uint32_t pid, uint64_t start_address) {
  const locked held(objects_lock);
  for (thread_object& place : threads) {
    if (place.references != 0) continue;
    place = {1, tid, pid, start_address, true};
    return;
  }
}

void forget_thread(uint32_t tid) {
  const locked held(objects_lock);
  for (thread_object& each : threads) {
    if (each.references == 0 || !each.alive || each.tid != tid) continue;
    each.alive = false;
    --each.references;
    return;
  }
}

uint32_t current_pid() {
  return this_thread().stands_in ? this_thread().pid : number(PsGetCurrentProcessId());
}

uint32_t attached_process() {
  const process_object* const attached = this_thread().attached;
  return attached != nullptr ? attached->pid : current_pid();
}

stand_in::stand_in(uint32_t pid, uint32_t tid, uint32_t cpu) : where_(PASSIVE_LEVEL, cpu), before_(this_thread()) {
  thread_state& self = this_thread();
  self.stands_in = true;
  self.pid = pid;
  self.tid = tid;
}

stand_in::~stand_in() {
  thread_state& self = this_thread();
  if (self.irql != PASSIVE_LEVEL) {
    report_violation("a callback returned at another IRQL");
    set_irql(PASSIVE_LEVEL);
  }
  if (self.critical_regions != before_.critical_regions) report_violation("a callback left a critical region entered");
  if (self.attached != before_.attached) report_violation("a callback returned attached to a process");
  self.critical_regions = before_.critical_regions;
  self.attached = before_.attached;
  self.stands_in = before_.stands_in;
  self.pid = before_.pid;
  self.tid = before_.tid;
}

std::span<const kernel_function> process_functions() { return table; }

}  // namespace sluice::wine
