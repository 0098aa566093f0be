#include "consumers/nt/socket_link.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sluice {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds hello_patience{10};
constexpr std::chrono::seconds close_patience{10};  // a host that is stopped is not waited for any longer
constexpr size_t most_of_a_mapping = std::max(sizeof(wire::map_request), sizeof(wire::unmap_request));

template <class message>
std::span<const uint8_t> bytes_of(const message& what) {
  return {reinterpret_cast<const uint8_t*>(&what), sizeof what};
}

nt_status status_of_connect(int error) {
  switch (error) {
    case EACCES:
    case EPERM: return nt::access_denied;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS: return nt::insufficient_resources;
    default: return nt::object_name_not_found;
  }
}

// Descriptors that came with a message.
void take_passed(msghdr& message, std::deque<wire::descriptor>& to) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = 0; at + sizeof(int) <= header->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
      int passed;
      std::memcpy(&passed, CMSG_DATA(header) + at, sizeof passed);
      to.emplace_back(passed);
    }
  }
}

// False: the time is over. A signal, or nothing, may end it early.
bool wait_readable(int socket, const std::optional<steady_clock::time_point>& until) {
  pollfd ready{socket, POLLIN, 0};
  if (!until) {
    (void)::poll(&ready, 1, -1);
    return true;
  }
  const auto left = *until - steady_clock::now();
  if (left <= steady_clock::duration(0)) return false;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
  const timespec time{seconds.count(), std::chrono::nanoseconds(left - seconds).count()};
  return ::ppoll(&ready, 1, &time, nullptr) != 0;
}

}  // namespace

nt_status socket_link::connect(const std::string& path, std::unique_ptr<socket_link>& made, wire::descriptor& counter_page) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) return nt::object_name_not_found;
  std::memcpy(address.sun_path, path.data(), path.size());
  wire::descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return status_of_connect(errno);
  while (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno != EINTR) return status_of_connect(errno);
  }
  std::unique_ptr<socket_link> link(new socket_link(std::move(socket)));
  const nt_status status = link->say_hello(counter_page);
  if (succeeded(status)) made = std::move(link);
  return status;
}

// A refusal may be there before anything was said.
nt_status socket_link::say_hello(wire::descriptor& counter_page) {
  const wire::client_hello mine{wire::hello_magic, wire::version};
  const std::span<const uint8_t> part = bytes_of(mine);
  (void)send(wire::frame_kind::hello, 0, {&part, 1});
  struct {
    wire::frame_header header;
    wire::server_hello hello;
  } theirs;
  uint8_t* const to = reinterpret_cast<uint8_t*>(&theirs);
  const auto until = steady_clock::now() + hello_patience;
  for (size_t have = 0; have != sizeof theirs;) {
    iovec vector{to + have, sizeof theirs - have};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t n = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
      if (!wait_readable(socket_.get(), until)) return nt::object_name_not_found;
      continue;
    }
    if (n <= 0) return nt::object_name_not_found;
    take_passed(message, passed_);
    have += static_cast<size_t>(n);
  }
  if (theirs.header.kind != static_cast<uint16_t>(wire::frame_kind::hello) || theirs.header.bytes != sizeof theirs.hello ||
      theirs.hello.magic != wire::hello_magic) {
    return nt::object_name_not_found;
  }
  if (!succeeded(theirs.hello.status)) return theirs.hello.status;
  if (!passed_.empty()) {
    counter_page = std::move(passed_.front());
    passed_.pop_front();
  }
  return theirs.hello.version == wire::version ? nt::success : nt::revision_mismatch;
}

// False: the host does not take it, and will not.
bool socket_link::send(wire::frame_kind kind, uint64_t id, std::span<const std::span<const uint8_t>> parts) {
  constexpr size_t most_parts = 4;
  wire::frame_header header{0, static_cast<uint16_t>(kind), 0, id};
  iovec vectors[1 + most_parts] = {{&header, sizeof header}};
  size_t count = 1;
  for (const auto& part : parts) {
    if (part.empty()) continue;
    vectors[count++] = {const_cast<uint8_t*>(part.data()), part.size()};
    header.bytes += static_cast<uint32_t>(part.size());
  }
  msghdr message{};
  message.msg_iov = vectors;
  message.msg_iovlen = count;
  const std::lock_guard lock(sending_);
  while (message.msg_iovlen != 0) {
    const ssize_t n = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      // Whoever waits for the answer learns of it by the host's end, whatever failed: a host that has gone, or memory. And behind half a
      // frame nothing could follow.
      ending_ = true;
      ::shutdown(socket_.get(), SHUT_WR);
      return false;
    }
    size_t sent = static_cast<size_t>(n);
    while (message.msg_iovlen != 0 && sent >= message.msg_iov->iov_len) {
      sent -= message.msg_iov->iov_len;
      ++message.msg_iov;
      --message.msg_iovlen;
    }
    if (message.msg_iovlen != 0 && sent != 0) {
      message.msg_iov->iov_base = static_cast<uint8_t*>(message.msg_iov->iov_base) + sent;
      message.msg_iov->iov_len -= sent;
    }
  }
  return true;
}

nt_status socket_link::call(wire::frame_kind kind, std::span<const std::span<const uint8_t>> parts, std::span<uint8_t> out,
                            uint64_t& bytes, nt_timeout timeout, nt_status gone) {
  bytes = 0;
  deadline until;
  if (timeout) until = steady_clock::now() + *timeout;
  waiter mine;
  mine.out = out;
  std::unique_lock lock(mutex_);
  if (gone_) return gone;
  mine.id = next_id_++;
  const auto place = waiters_.insert(waiters_.end(), &mine);
  lock.unlock();
  // If it could not be sent the connection ends: what the host had sent before is read all the same, up to its end.
  (void)send(kind, mine.id, parts);
  lock.lock();
  wait(lock, mine, until);
  const bool timed_out = !mine.done && !gone_;
  if (timed_out) {
    const wire::cancel_request which{mine.id};
    const std::span<const uint8_t> part = bytes_of(which);
    lock.unlock();
    (void)send(wire::frame_kind::cancel, 0, {&part, 1});
    lock.lock();
    wait(lock, mine, std::nullopt);  // an answer that was on its way is not lost
  }
  waiters_.erase(place);
  if (!mine.done) return gone;
  bytes = mine.bytes;
  return timed_out && mine.status == nt::cancelled ? nt::timeout : mine.status;
}

void socket_link::cancel() {
  const wire::cancel_request all{0};
  const std::span<const uint8_t> part = bytes_of(all);
  (void)send(wire::frame_kind::cancel, 0, {&part, 1});
}

// Until the answer is there, the host has gone, or it is time.
void socket_link::wait(std::unique_lock<std::mutex>& lock, waiter& mine, const deadline& until) {
  while (!mine.done && !gone_) {
    if (reading_) {
      if (!until) {
        mine.wake.wait(lock);
      } else if (mine.wake.wait_until(lock, *until) == std::cv_status::timeout && reading_) {
        return;
      }
      continue;
    }
    reading_ = true;
    const progress how = read(lock, mine, until);
    reading_ = false;
    if (how == progress::gone) {
      gone_ = true;
      for (waiter* each : waiters_) each->wake.notify_one();
    } else if (const auto next = std::ranges::find_if(waiters_, [&](const waiter* each) { return each != &mine && !each->done; });
               next != waiters_.end()) {
      (*next)->wake.notify_one();  // reads on
    }
    if (how == progress::timeout) return;
  }
}

// With the lock held; without it while it waits for the socket.
socket_link::progress socket_link::read(std::unique_lock<std::mutex>& lock, const waiter& mine, const deadline& until) {
  for (;;) {
    if (!take_frames()) return progress::gone;
    if (mine.done) return progress::some;
    lock.unlock();
    const progress how = receive(until);
    lock.lock();
    if (how != progress::some) return how;
    if (long_ != nullptr && long_missing_ == 0) finish(*long_);
  }
}

// One receive, straight to where it belongs as far as that is known.
socket_link::progress socket_link::receive(const deadline& until) {
  if (begin_ == end_) begin_ = end_ = 0;
  if (begin_ != 0 && end_ == input_.size()) {
    std::memmove(input_.data(), input_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  for (;;) {
    iovec vectors[2];
    size_t count = 0;
    if (long_ != nullptr) vectors[count++] = {long_->out.data() + (long_->bytes - long_missing_), long_missing_};
    vectors[count++] = {input_.data() + end_, input_.size() - end_};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr message{};
    message.msg_iov = vectors;
    message.msg_iovlen = count;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t n = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n > 0) {
      take_passed(message, passed_);
      const size_t to_long = std::min(static_cast<size_t>(n), long_missing_);
      long_missing_ -= to_long;
      end_ += static_cast<size_t>(n) - to_long;
      return progress::some;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
      if (!wait_readable(socket_.get(), until)) return progress::timeout;
      continue;
    }
    return progress::gone;
  }
}

// Every whole frame that is there. False: what came is none.
bool socket_link::take_frames() {
  while (long_ == nullptr && end_ - begin_ >= sizeof(wire::frame_header)) {
    wire::frame_header header;
    std::memcpy(&header, input_.data() + begin_, sizeof header);
    if (header.kind == static_cast<uint16_t>(wire::frame_kind::answer)) {
      if (header.bytes > wire::max_frame_bytes || header.bytes < sizeof(wire::answer_header)) return false;
      if (end_ - begin_ < sizeof header + sizeof(wire::answer_header)) return true;
      if (!take_answer(header)) return false;
    } else {
      if (header.bytes > most_of_a_mapping) return false;
      if (end_ - begin_ < sizeof header + header.bytes) return true;
      if (!take_mapping(header)) return false;
    }
  }
  return true;
}

// What the kernel does in this process' memory.
bool socket_link::take_mapping(const wire::frame_header& header) {
  const uint8_t* const body = input_.data() + begin_ + sizeof header;
  begin_ += sizeof header + header.bytes;
  if (header.kind == static_cast<uint16_t>(wire::frame_kind::map) && header.bytes == sizeof(wire::map_request)) {
    wire::map_request request;
    std::memcpy(&request, body, sizeof request);
    const wire::map_answer answer = map(request);
    const std::span<const uint8_t> part = bytes_of(answer);
    (void)send(wire::frame_kind::answer, header.id, {&part, 1});
    return true;
  }
  if (header.kind == static_cast<uint16_t>(wire::frame_kind::unmap) && header.bytes == sizeof(wire::unmap_request)) {
    wire::unmap_request request;
    std::memcpy(&request, body, sizeof request);
    unmap(request);
    return true;
  }
  return false;
}

wire::map_answer socket_link::map(const wire::map_request& request) {
  if (passed_.empty()) return {nt::invalid_parameter, 0, 0};
  const wire::descriptor file = std::move(passed_.front());
  passed_.pop_front();
  const int protection = request.writable != 0 ? PROT_READ | PROT_WRITE : PROT_READ;
  void* const memory = ::mmap(nullptr, request.bytes, protection, MAP_SHARED, file.get(), static_cast<off_t>(request.offset));
  if (memory == MAP_FAILED) return {nt::insufficient_resources, 0, 0};
  const auto address = reinterpret_cast<uint64_t>(memory);
  mappings_.push_back({address, request.bytes});
  return {nt::success, 0, address};
}

// Only what was mapped so. Where the connection ends for want of a request, the host closes a handle that its owner here has not: the
// views stay until he does.
void socket_link::unmap(const wire::unmap_request& request) {
  const auto found = std::ranges::find_if(mappings_, [&](const mapping& each) {
    return each.address == request.address && each.bytes == request.bytes;
  });
  if (found == mappings_.end() || ending_) return;
  ::munmap(reinterpret_cast<void*>(found->address), found->bytes);
  mappings_.erase(found);
}

// The handle is closed when this returns, as CloseHandle does it: the host ends the connection then.
socket_link::~socket_link() {
  ::shutdown(socket_.get(), SHUT_WR);
  for (const auto until = steady_clock::now() + close_patience;;) {
    const ssize_t n = ::recv(socket_.get(), input_.data(), input_.size(), MSG_DONTWAIT);
    if (n > 0 || (n < 0 && errno == EINTR)) continue;
    if (n == 0 || errno != EAGAIN || !wait_readable(socket_.get(), until)) break;
  }
  for (const mapping& each : mappings_) ::munmap(reinterpret_cast<void*>(each.address), each.bytes);
}

bool socket_link::take_answer(const wire::frame_header& header) {
  const auto found = std::ranges::find_if(waiters_, [&](const waiter* each) { return each->id == header.id && !each->done; });
  if (found == waiters_.end()) return false;
  waiter& whose = **found;
  wire::answer_header answer;
  std::memcpy(&answer, input_.data() + begin_ + sizeof header, sizeof answer);
  const size_t bytes = header.bytes - sizeof answer;
  if (bytes > whose.out.size()) return false;
  begin_ += sizeof header + sizeof answer;
  whose.status = answer.status;
  whose.bytes = bytes;
  const size_t here = std::min(bytes, end_ - begin_);
  if (here != 0) std::memcpy(whose.out.data(), input_.data() + begin_, here);
  begin_ += here;
  long_ = &whose;
  long_missing_ = bytes - here;
  if (long_missing_ == 0) finish(whose);
  return true;
}

void socket_link::finish(waiter& whose) {
  long_ = nullptr;
  whose.done = true;
  whose.wake.notify_one();
}

}  // namespace sluice
