#include "kernel_port/sim/host/frame_output.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>
#include <new>

namespace sluice::sim {
namespace {

// How much the socket took; -1: it takes nothing any more.
ssize_t send_without_waiting(int socket, iovec* parts, size_t count, int passed) {
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = count;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (passed >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &passed, sizeof passed);
  }
  for (;;) {
    const ssize_t n = ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) return n;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    if (errno != EINTR) return -1;
  }
}

}  // namespace

void frame_output::put(wire::frame_kind kind, uint64_t id, std::span<const uint8_t> first,
                       std::span<const uint8_t> second, int passed) noexcept {
  const wire::frame_header header{static_cast<uint32_t>(first.size() + second.size()), static_cast<uint16_t>(kind), 0, id};
  const std::span<const uint8_t> parts[] = {{reinterpret_cast<const uint8_t*>(&header), sizeof header}, first, second};
  const internal_lock lock(mutex_);
  if (broken_) return;
  try {
    if (!waiting_.empty()) return keep(parts, 0, passed);
    iovec vectors[3];
    size_t count = 0, bytes = 0;
    for (const auto& part : parts) {
      if (part.empty()) continue;
      vectors[count++] = {const_cast<uint8_t*>(part.data()), part.size()};
      bytes += part.size();
    }
    const ssize_t sent = send_without_waiting(socket_, vectors, count, passed);
    if (sent < 0) {
      give_up();
    } else if (static_cast<size_t>(sent) != bytes) {
      keep(parts, static_cast<size_t>(sent), sent == 0 ? passed : -1);
      const uint64_t one = 1;
      (void)!::write(wake_, &one, sizeof one);
    }
  } catch (const std::bad_alloc&) {
    give_up();
  }
}

// With the lock held. An answer that is missing would be waited for for ever: the client is to see the end, whatever failed.
void frame_output::give_up() {
  broken_ = true;
  ::shutdown(socket_, SHUT_RDWR);
}

// With the lock held.
void frame_output::keep(std::span<const std::span<const uint8_t>> parts, size_t sent, int passed) {
  waiting_frame frame{{}, sent, {}};
  for (const auto& part : parts) frame.bytes.insert(frame.bytes.end(), part.begin(), part.end());
  if (passed >= 0) frame.passed = wire::descriptor(::fcntl(passed, F_DUPFD_CLOEXEC, 0));
  waiting_bytes_ += frame.bytes.size() - sent;
  waiting_.push_back(std::move(frame));
}

void frame_output::flush() noexcept {
  const internal_lock lock(mutex_);
  while (!waiting_.empty() && !broken_) {
    waiting_frame& frame = waiting_.front();
    iovec rest{frame.bytes.data() + frame.sent, frame.bytes.size() - frame.sent};
    const ssize_t sent = send_without_waiting(socket_, &rest, 1, frame.passed.get());
    if (sent < 0) {
      give_up();
      break;
    }
    if (sent == 0) return;
    frame.passed.reset();
    frame.sent += static_cast<size_t>(sent);
    waiting_bytes_ -= static_cast<size_t>(sent);
    if (frame.sent == frame.bytes.size()) waiting_.pop_front();
  }
  if (broken_) {
    waiting_.clear();
    waiting_bytes_ = 0;
  }
}

size_t frame_output::waiting() {
  const internal_lock lock(mutex_);
  return waiting_bytes_;
}

bool frame_output::broken() {
  const internal_lock lock(mutex_);
  return broken_;
}

}  // namespace sluice::sim
