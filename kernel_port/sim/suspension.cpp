// A thread is suspended where NT would deliver a normal kernel APC to it: by a signal whose handler parks it,
// or, where APCs are off, when they are enabled again. Never inside the simulation or a library, whose locks
// others need: the request stays, and is repeated or delivered on the way out.
#include "kernel_port/sim/suspension.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "kernel_port/sim/implementation.h"

extern "C" char __executable_start, etext;

namespace sluice::sim {
namespace {

int request_signal() {
  return SIGRTMIN + 6;
}

enum answer : uint32_t { none = 0, parked = 1, deferred = 2, elsewhere = 3 };

void futex_wait(std::atomic<uint32_t>& word, uint32_t value) {
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

void futex_wake(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT32_MAX, nullptr, nullptr, 0);
}

// Async-signal-safe. Returns when nobody holds the thread suspended.
void park(thread_state& thread) {
  host_thread& host = *thread.host;
  host.parked.store(1);
  host.retry.store(parked);
  for (;;) {
    const uint32_t count = host.suspend_count.load();
    if (count == 0) break;
    if (the_scheduler.takes_turns()) {
      the_scheduler.the_turns().wait(host.suspended, {});
      continue;
    }
    futex_wait(host.suspend_count, count);
  }
  host.parked.store(0);
  thread.requests.fetch_and(static_cast<uint8_t>(~request_suspend));
  // Suspended again between the look and the clearing: the next delivery finds it.
  if (host.suspend_count.load() != 0) thread.requests.fetch_or(request_suspend);
}

void on_request(int, siginfo_t*, void* context) {
  const int saved_errno = errno;
  thread_state& thread = self();
  if (thread.host) {
    if (thread.requests.load() & request_interprocessor) answer_interprocessor(thread);
    if (thread.requests.load() & request_suspend) {
      const auto ip =
          reinterpret_cast<const char*>(static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP]);
      if (!normal_apcs_enabled(thread)) {
        thread.host->retry.store(deferred);
      } else if (ip < &__executable_start || ip >= &etext) {
        thread.host->retry.store(elsewhere);
      } else {
        park(thread);
      }
    }
  }
  errno = saved_errno;
}

}  // namespace

void install_request_signal() {
  struct sigaction action {};
  action.sa_sigaction = on_request;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(request_signal(), &action, nullptr);
}

void send_request(host_thread& host) {
  syscall(SYS_tgkill, getpid(), host.linux_tid, request_signal());
}

void deliver_requests(thread_state& thread) {
  if (!thread.host) return;
  if (thread.requests.load() & request_interprocessor) answer_interprocessor(thread);
  while ((thread.requests.load() & request_suspend) && normal_apcs_enabled(thread)) park(thread);
}

bool machine::suspend_thread(uint32_t tid) {
  implementation& state = *implementation_;
  host_thread* found = nullptr;
  {
    internal_lock lock(state.hosts_mutex);  // keeps the thread attached
    for (host_thread* host : state.hosts) {
      if (host->tid.load() == tid) found = host;
    }
    if (!found) return false;
    found->suspend_count.fetch_add(1);
    found->state->requests.fetch_or(request_suspend);
    // It stands at a point, or in a wait: it sees the request when it has its next turn.
    if (the_scheduler.takes_turns() && found->state != &self()) return true;
    if (found->state != &self()) {
      // Until it is parked, or has said that it will park itself. Library code is not parked in: ask again.
      for (int attempt = 0; attempt < 200; ++attempt) {
        if (found->parked.load()) return true;
        found->retry.store(none);
        send_request(*found);
        for (int turn = 0; turn < 100 && found->retry.load() == none; ++turn) {
          if (turn < 20) {
            sched_yield();
          } else {
            const timespec pause{0, 50'000};
            nanosleep(&pause, nullptr);
          }
        }
        if (found->retry.load() == parked || found->retry.load() == deferred) return true;
      }
      return true;  // it is still asked to, and will at its next call into the simulation
    }
  }
  deliver_requests(self());
  return true;
}

bool machine::resume_thread(uint32_t tid) {
  implementation& state = *implementation_;
  internal_lock lock(state.hosts_mutex);
  for (host_thread* host : state.hosts) {
    if (host->tid.load() != tid) continue;
    uint32_t count = host->suspend_count.load();
    while (count != 0 && !host->suspend_count.compare_exchange_weak(count, count - 1)) {
    }
    if (the_scheduler.takes_turns()) {
      the_scheduler.wake(host->suspended);
    } else {
      futex_wake(host->suspend_count);
    }
    return true;
  }
  return false;
}

}  // namespace sluice::sim
