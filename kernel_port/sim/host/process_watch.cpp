#include "kernel_port/sim/host/process_watch.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <system_error>

namespace sluice::sim {
namespace {

constexpr uint64_t end_mark = ~uint64_t{0};

wire::descriptor required(int number, const char* what) {
  if (number < 0) throw std::system_error(errno, std::generic_category(), what);
  return wire::descriptor(number);
}

void add_to(int events, int descriptor, uint64_t mark) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = mark;
  if (::epoll_ctl(events, EPOLL_CTL_ADD, descriptor, &event) != 0) {
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
  }
}

bool is_readable(int descriptor) {
  pollfd ready{descriptor, POLLIN, 0};
  return ::poll(&ready, 1, 0) == 1;
}

}  // namespace

process_watch::process_watch(machine& machine)
    : machine_(machine),
      events_(required(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      end_(required(::eventfd(0, EFD_CLOEXEC), "eventfd")) {
  add_to(events_.get(), end_.get(), end_mark);
  thread_ = std::thread(&process_watch::watch, this);
}

process_watch::~process_watch() {
  const uint64_t one = 1;
  (void)!::write(end_.get(), &one, sizeof one);
  thread_.join();
  for (const auto& [pid, each] : processes_) (void)forget_process(pid);
}

// A number that was given out again while the machine has not heard of the end of its former owner: nothing is told of the new one.
void process_watch::opened(uint32_t pid, wire::descriptor process_descriptor) {
  const std::lock_guard lock(mutex_);
  auto found = processes_.find(pid);
  if (found == processes_.end()) {
    if (add_existing_process({.pid = pid}) != STATUS_SUCCESS) return;
    found = processes_.emplace(pid, process{std::move(process_descriptor)}).first;
    add_to(events_.get(), found->second.descriptor.get(), pid);
  }
  found->second.connections += 1;
}

void process_watch::closed(uint32_t pid) {
  std::optional<uint32_t> forgotten;
  {
    const std::lock_guard lock(mutex_);
    const auto found = processes_.find(pid);
    if (found == processes_.end() || found->second.connections == 0) return;
    found->second.connections -= 1;
    found->second.last_use = ++uses_;
    if (found->second.connections == 0) forgotten = take_one_too_many();
  }
  if (forgotten) (void)forget_process(*forgotten);
}

// With the lock held. A process may come back, or its end may be a moment away: some are remembered without a connection.
std::optional<uint32_t> process_watch::take_one_too_many() {
  size_t without = 0;
  auto oldest = processes_.end();
  for (auto each = processes_.begin(); each != processes_.end(); ++each) {
    if (each->second.connections != 0 || is_readable(each->second.descriptor.get())) continue;
    ++without;
    if (oldest == processes_.end() || each->second.last_use < oldest->second.last_use) oldest = each;
  }
  if (without <= most_without_connections) return std::nullopt;
  const uint32_t pid = oldest->first;
  processes_.erase(oldest);
  return pid;
}

// Without the lock: it takes as long as a thread of the process is inside the kernel.
void process_watch::tell_of_end(uint32_t pid) {
  const activity last_words(machine_, pid % machine_.processors(), pid, pid);
  (void)exit_process(pid, STATUS_SUCCESS);
}

void process_watch::watch() {
  for (;;) {
    epoll_event event;
    if (::epoll_wait(events_.get(), &event, 1, -1) != 1) continue;
    if (event.data.u64 == end_mark) return;
    const auto pid = static_cast<uint32_t>(event.data.u64);
    {
      const std::lock_guard lock(mutex_);
      const auto found = processes_.find(pid);
      if (found == processes_.end() || !is_readable(found->second.descriptor.get())) continue;
      processes_.erase(found);
    }
    tell_of_end(pid);
  }
}

}  // namespace sluice::sim
