#include "kernel_port/wine/process_watch.h"

#include <atomic>
#include <map>
#include <vector>

#include "kernel_port/wine/injection.h"
#include "kernel_port/wine/notify.h"

namespace sluice::wine {
namespace {

constexpr ULONG system_process_information = 5;
constexpr ULONG look_every_milliseconds = 4;
constexpr ULONG look_unwanted_every_milliseconds = 100;  // who ended must be forgotten; a list costs Wine half a millisecond and more
constexpr ULONG query_access = 0x1000 | 0x400 | SYNCHRONIZE;

// Documented head of SYSTEM_PROCESS_INFORMATION.
struct listed_process {
  ULONG next;
  ULONG threads;
  LARGE_INTEGER times[6];
  UNICODE_STRING name;
  LONG priority;
  HANDLE pid;
  HANDLE parent_pid;
};

std::atomic<bool> wanted_now{true};
HANDLE wanted_again = nullptr;  // event
std::atomic<uint64_t> counts[injected_kind_count];

uint32_t number(HANDLE id) { return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(id)); }

class process_list {
 public:
  // False: the system gave no list.
  bool read() {
    for (;;) {
      ULONG needed = 0;
      const NTSTATUS status = ZwQuerySystemInformation(system_process_information, buffer_.data(),
                                                       static_cast<ULONG>(buffer_.size()), &needed);
      if (NT_SUCCESS(status)) return true;
      if (status != STATUS_INFO_LENGTH_MISMATCH) return false;
      buffer_.resize(buffer_.size() * 2);
    }
  }
  template <class function>
  void each(function&& use) {
    for (auto* at = reinterpret_cast<listed_process*>(buffer_.data());;) {
      use(*at);
      if (at->next == 0) return;
      at = reinterpret_cast<listed_process*>(reinterpret_cast<uint8_t*>(at) + at->next);
    }
  }

 private:
  std::vector<uint8_t> buffer_ = std::vector<uint8_t>(64 * 1024);
};

struct known_process {
  HANDLE handle;  // for its exit status
  bool listed;
};

ULONG NTAPI look(PVOID) {
  process_list list;
  std::map<uint32_t, known_process> known;
  bool first = true;
  for (;; WaitForSingleObject(wanted_again, wanted_now.load() ? look_every_milliseconds : look_unwanted_every_milliseconds)) {
    const bool tell = wanted_now.load() && process_routine_registered();
    if (!list.read()) continue;
    for (auto& [pid, process] : known) process.listed = false;
    list.each([&](listed_process& process) {
      const uint32_t pid = number(process.pid);
      if (const auto found = known.find(pid); found != known.end()) {
        found->second.listed = true;
        return;
      }
      if (process.name.Length == 0) return;  // it has no image yet
      known[pid] = {OpenProcess(query_access, FALSE, pid), true};
      if (first || !tell) return;
      const uint32_t parent = number(process.parent_pid);
      const stand_in creator(parent, 0, no_cpu);
      NTSTATUS status = STATUS_SUCCESS;
      if (raise_process_create({pid, parent, &process.name, nullptr}, status)) {
        count_raised(static_cast<uint32_t>(injected_kind::process_create));
      }
    });
    for (auto each = known.begin(); each != known.end();) {
      if (each->second.listed) {
        ++each;
        continue;
      }
      ULONG exit_status = 0;
      if (each->second.handle != nullptr) {
        GetExitCodeProcess(each->second.handle, &exit_status);
        CloseHandle(each->second.handle);
      }
      if (tell) {
        const stand_in last_thread(each->first, 0, no_cpu);
        if (raise_process_exit(each->first, static_cast<int32_t>(exit_status))) {
          count_raised(static_cast<uint32_t>(injected_kind::process_exit));
        }
      } else {
        forget_process(end_process(each->first, static_cast<int32_t>(exit_status)));
      }
      each = known.erase(each);
    }
    first = false;
  }
}

}  // namespace

void start_process_watch() {
  wanted_again = CreateEventW(nullptr, FALSE, FALSE, nullptr);
  CreateThread(nullptr, 0, &look, nullptr, 0, nullptr);
}

void watch_processes(bool wanted) {
  wanted_now.store(wanted);
  SetEvent(wanted_again);
}

void count_raised(uint32_t kind) { counts[kind].fetch_add(1); }
uint64_t raised(uint32_t kind) { return counts[kind].load(); }

}  // namespace sluice::wine
