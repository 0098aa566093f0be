#include "kernel_port/sim/host/machine_host.h"

#include <fltkernel.h>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77  // since Linux 6.5
#endif

namespace sluice::sim {
namespace {

constexpr int socket_buffer = 1 << 20;  // as much of it as the system allows
constexpr int longest_backlog = 128;

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    throw std::invalid_argument("the path of a socket has 1 to " + std::to_string(sizeof address.sun_path - 1) +
                                " bytes: " + path);
  }
  memcpy(address.sun_path, path.data(), path.size());
  return address;
}

wire::descriptor make_socket(const std::string& path) {
  wire::descriptor made(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made) fail("a socket for " + path);
  return made;
}

// Somebody listens there.
bool is_served(const std::string& path, const sockaddr_un& address) {
  const wire::descriptor probe = make_socket(path);
  return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno == EAGAIN;
}

wire::descriptor listen_on(const std::string& path) {
  const sockaddr_un address = address_of(path);
  wire::descriptor made = make_socket(path);
  const auto* const name = reinterpret_cast<const sockaddr*>(&address);
  if (::bind(made.get(), name, sizeof address) != 0) {
    struct stat there {};
    if (errno != EADDRINUSE || ::lstat(path.c_str(), &there) != 0 || !S_ISSOCK(there.st_mode)) fail(path);
    if (is_served(path, address)) {
      errno = EADDRINUSE;
      fail(path + " is served by another process");
    }
    if (::unlink(path.c_str()) != 0 || ::bind(made.get(), name, sizeof address) != 0) fail(path);
  }
  // Who may connect is said by credentials; the directory's mode keeps others away besides.
  if (::chmod(path.c_str(), 0666) != 0 || ::listen(made.get(), longest_backlog) != 0) fail(path);
  return made;
}

// Of who had connected, also if another process has the number by now.
wire::descriptor process_of(int socket, uint32_t pid) {
  int number = -1;
  socklen_t length = sizeof number;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &number, &length) == 0) return wire::descriptor(number);
  return wire::descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

void refuse(int socket, NTSTATUS status) {
  const struct {
    wire::frame_header header;
    wire::server_hello hello;
  } frame{{sizeof(wire::server_hello), static_cast<uint16_t>(wire::frame_kind::hello), 0, 0},
          {wire::hello_magic, wire::version, status, 0}};
  (void)!::send(socket, &frame, sizeof frame, MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace

struct machine_host::served {
  served(machine_host& host, wire::descriptor socket, uint32_t pid, uint32_t user)
      : space(host.spaces_, pid), handle(host.machine_, std::move(socket), pid, user, host.options_.limits, space.get()) {}
  const process_spaces::use space;
  connection handle;
  std::thread thread;
  bool ended = false;
};

machine_host::machine_host(machine& machine, host_options options)
    : machine_(machine), options_(std::move(options)), listening_(listen_on(options_.path)), end_(::eventfd(0, EFD_CLOEXEC)) {
  if (!end_) fail("eventfd");
  if (options_.tells_of_processes) processes_ = std::make_unique<process_watch>(machine_);
  thread_ = std::thread(&machine_host::accept_all, this);
}

machine_host::~machine_host() { stop(); }

void machine_host::stop() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  (void)!::write(end_.get(), &one, sizeof one);
  thread_.join();
  ::unlink(options_.path.c_str());
  listening_.reset();
  {
    const std::lock_guard lock(mutex_);
    for (served& each : served_) each.handle.stop();
  }
  for (served& each : served_) each.thread.join();
  served_.clear();
  processes_.reset();
}

uint32_t machine_host::connections() const {
  const std::lock_guard lock(mutex_);
  uint32_t running = 0;
  for (const served& each : served_) running += !each.ended;
  return running;
}

uint64_t machine_host::opened_handles() const {
  const std::lock_guard lock(mutex_);
  return opened_handles_;
}

void machine_host::wait_for_handle(const std::function<bool()>& stop_waiting) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return opened_handles_ != 0 || stop_waiting(); });
}

void machine_host::wake_waiting() {
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

void machine_host::accept_all() {
  for (;;) {
    pollfd ready[2] = {{listening_.get(), POLLIN, 0}, {end_.get(), POLLIN, 0}};
    if (::poll(ready, 2, -1) < 0) continue;
    if (ready[1].revents != 0) return;
    if (ready[0].revents != 0) accept_one();
  }
}

void machine_host::accept_one() {
  wire::descriptor socket(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) {
    // Without descriptors the next one is taken when there are some again: not at once, or this thread would spin.
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) ::poll(nullptr, 0, 10);
    return;
  }
  join_ended();
  ucred who{};
  socklen_t length = sizeof who;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &who, &length) != 0) return;
  const auto user = static_cast<uint32_t>(who.uid);
  const bool allowed = options_.allows ? options_.allows(user) : user == 0 || user == static_cast<uint32_t>(::geteuid());
  if (!allowed) return refuse(socket.get(), STATUS_ACCESS_DENIED);
  if (connections() >= options_.connections) return refuse(socket.get(), STATUS_CONNECTION_COUNT_LIMIT);
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &socket_buffer, sizeof socket_buffer);
  const auto pid = static_cast<uint32_t>(who.pid);
  try {
    wire::descriptor process = process_of(socket.get(), pid);
    std::list<served> made;
    made.emplace_back(*this, std::move(socket), pid, user);
    const std::lock_guard lock(mutex_);
    served& one = made.back();
    one.thread = std::thread([this, &one, process = std::move(process)]() mutable { serve(one, std::move(process)); });
    served_.splice(served_.end(), made);
  } catch (const std::exception&) {
    // No memory, descriptor or thread for it: the connection is closed, and its process sees that.
  }
}

void machine_host::serve(served& one, wire::descriptor process) {
  const uint32_t pid = one.handle.pid();
  // Without a descriptor it has ended already: there is nobody to tell of.
  const bool told = processes_ != nullptr && process;
  if (told) processes_->opened(pid, std::move(process));
  one.handle.run([&] {
    const std::lock_guard lock(mutex_);
    opened_handles_ += 1;
    changed_.notify_all();
  });
  if (told) processes_->closed(pid);
  const std::lock_guard lock(mutex_);
  one.ended = true;
}

void machine_host::join_ended() {
  std::list<served> ended;
  {
    const std::lock_guard lock(mutex_);
    for (auto each = served_.begin(); each != served_.end();) {
      const auto here = each++;
      if (here->ended) ended.splice(ended.end(), served_, here);
    }
  }
  for (served& each : ended) each.thread.join();
}

}  // namespace sluice::sim
