// A connection to a host that says whatever a test wants, and reads frames back.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "kernel_port/sim/host/descriptor.h"
#include "kernel_port/sim/host/frame.h"

namespace sluice::test {

using wire::frame_kind;

struct raw_frame {
  wire::frame_header header{};
  std::vector<uint8_t> bytes;

  int32_t status() const {
    wire::answer_header answer{};
    EXPECT_GE(bytes.size(), sizeof answer);
    if (bytes.size() >= sizeof answer) std::memcpy(&answer, bytes.data(), sizeof answer);
    return answer.status;
  }
};

template <class value>
void append(std::vector<uint8_t>& to, const value& what) {
  const auto* const bytes = reinterpret_cast<const uint8_t*>(&what);
  to.insert(to.end(), bytes, bytes + sizeof what);
}

template <class... values>
std::vector<uint8_t> bytes(const values&... all) {
  std::vector<uint8_t> made;
  (append(made, all), ...);
  return made;
}

inline std::vector<uint8_t> text(std::u16string_view name) {
  const auto* const data = reinterpret_cast<const uint8_t*>(name.data());
  return {data, data + name.size() * sizeof(char16_t)};
}

class raw_socket {
 public:
  explicit raw_socket(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0) << std::strerror(errno);
  }

  // False: the host does not take it any more.
  bool send(const std::vector<uint8_t>& data) {
    size_t sent = 0;
    while (sent < data.size()) {
      const ssize_t n = ::send(socket_.get(), data.data() + sent, data.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return false;
      sent += static_cast<size_t>(n);
    }
    return true;
  }
  // How much goes in without waiting.
  size_t send_what_fits(const std::vector<uint8_t>& data) {
    const ssize_t n = ::send(socket_.get(), data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return n > 0 ? static_cast<size_t>(n) : 0;
  }
  bool send(frame_kind kind, uint64_t id, const std::vector<uint8_t>& body = {}) {
    std::vector<uint8_t> frame =
        bytes(wire::frame_header{static_cast<uint32_t>(body.size()), static_cast<uint16_t>(kind), 0, id});
    frame.insert(frame.end(), body.begin(), body.end());
    return send(frame);
  }

  // Waits for it. None: the host has closed the connection.
  std::optional<raw_frame> receive() {
    raw_frame frame;
    if (!take(reinterpret_cast<uint8_t*>(&frame.header), sizeof frame.header)) return std::nullopt;
    frame.bytes.resize(frame.header.bytes);
    if (!take(frame.bytes.data(), frame.bytes.size())) return std::nullopt;
    return frame;
  }
  // The status of the answer to a request; it is the next frame.
  int32_t call(frame_kind kind, const std::vector<uint8_t>& body = {}) {
    const uint64_t id = next_id_++;
    EXPECT_TRUE(send(kind, id, body));
    const std::optional<raw_frame> answer = receive();
    EXPECT_TRUE(answer.has_value()) << "the host has closed the connection";
    if (!answer) return -1;
    EXPECT_EQ(answer->header.kind, static_cast<uint16_t>(frame_kind::answer));
    EXPECT_EQ(answer->header.id, id);
    return answer->status();
  }
  // The host closes it, whatever it says before.
  bool is_closed() {
    while (receive()) {
    }
    return true;
  }

  void hello() {
    ASSERT_TRUE(send(frame_kind::hello, 0, bytes(wire::client_hello{wire::hello_magic, wire::version})));
    const std::optional<raw_frame> theirs = receive();
    ASSERT_TRUE(theirs.has_value());
    ASSERT_EQ(theirs->header.kind, static_cast<uint16_t>(frame_kind::hello));
  }
  void open_device() {
    hello();
    ASSERT_EQ(call(frame_kind::open_device, text(u"Sluice")), 0);
  }

 private:
  bool take(uint8_t* to, size_t count) {
    for (size_t have = 0; have < count;) {
      const ssize_t n = ::recv(socket_.get(), to + have, count - have, 0);
      if (n <= 0) return false;
      have += static_cast<size_t>(n);
    }
    return true;
  }

  wire::descriptor socket_;
  uint64_t next_id_ = 1;
};

}  // namespace sluice::test
