// What a client does with a host that ends in the middle, or is none: it takes what came whole, says that the rest is gone, and neither
// waits for ever nor believes what cannot be.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "consumers/event_source.h"
#include "consumers/nt/socket_system.h"
#include "kernel_port/sim/counter_page.h"
#include "tests/consumers/raw_socket.h"
#include "tests/consumers/temporary_directory.h"

namespace sluice {
namespace {

using test::bytes;
using test::frame_kind;
using test::raw_frame;

// The other end of one connection.
class scripted_end {
 public:
  explicit scripted_end(int socket) : socket_(socket) {}

  raw_frame take() {
    raw_frame frame;
    EXPECT_TRUE(receive(reinterpret_cast<uint8_t*>(&frame.header), sizeof frame.header));
    frame.bytes.resize(frame.header.bytes);
    EXPECT_TRUE(receive(frame.bytes.data(), frame.bytes.size()));
    return frame;
  }
  void say(const std::vector<uint8_t>& data) { EXPECT_EQ(::send(socket_.get(), data.data(), data.size(), MSG_NOSIGNAL), ssize_t(data.size())); }
  void say(frame_kind kind, uint64_t id, const std::vector<uint8_t>& body) {
    std::vector<uint8_t> frame = bytes(wire::frame_header{static_cast<uint32_t>(body.size()), static_cast<uint16_t>(kind), 0, id});
    frame.insert(frame.end(), body.begin(), body.end());
    say(frame);
  }
  void answer(const raw_frame& request, int32_t status, const std::vector<uint8_t>& content = {}) {
    std::vector<uint8_t> body = bytes(wire::answer_header{status, 0});
    body.insert(body.end(), content.begin(), content.end());
    say(frame_kind::answer, request.header.id, body);
  }
  // With the page of a counter that stands still.
  void greet() {
    (void)take();
    const wire::descriptor page(::memfd_create("page", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(page.get(), sim::counter_page_bytes), 0);
    const auto frame = bytes(wire::frame_header{sizeof(wire::server_hello), static_cast<uint16_t>(frame_kind::hello), 0, 0},
                             wire::server_hello{wire::hello_magic, wire::version, 0, sim::counter_page_bytes});
    iovec part{const_cast<uint8_t*>(frame.data()), frame.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int number = page.get();
    std::memcpy(CMSG_DATA(header), &number, sizeof number);
    EXPECT_EQ(::sendmsg(socket_.get(), &message, MSG_NOSIGNAL), ssize_t(frame.size()));
  }

 private:
  bool receive(uint8_t* to, size_t count) {
    for (size_t have = 0; have < count;) {
      const ssize_t n = ::recv(socket_.get(), to + have, count - have, 0);
      if (n <= 0) return false;
      have += static_cast<size_t>(n);
    }
    return true;
  }
  wire::descriptor socket_;
};

// Plays one script for each connection, one after another.
struct socket_client_test : testing::Test {
  using script = std::function<void(scripted_end&)>;

  void play(std::vector<script> scripts) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    listening = wire::descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(listening.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listening.get(), 8), 0);
    playing = std::thread([this, scripts = std::move(scripts)] {
      for (const script& each : scripts) {
        scripted_end end(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
        each(end);
      }
    });
  }
  // A device whose open is answered; then the script goes on.
  void play_device(const script& then) {
    play({[](scripted_end& end) { end.greet(); }, [then](scripted_end& end) {
            end.greet();
            end.answer(end.take(), nt::success);
            then(end);
          }});
    ASSERT_EQ(connect_system(path)->open_device(u"Sluice", device), nt::success);
  }
  ~socket_client_test() override {
    device.reset();
    if (playing.joinable()) playing.join();
    ::unlink(path.c_str());
  }

  nt_status read(std::vector<uint8_t>& buffer, uint64_t& got) { return device->read(buffer, got, std::nullopt); }

  test::temporary_directory directory;
  const std::string path = directory.path() + "/machine.socket";
  wire::descriptor listening;
  std::thread playing;
  std::unique_ptr<nt_device> device;
};

TEST_F(socket_client_test, what_came_before_the_end_is_read) {
  const std::vector<uint8_t> large(60000, 7);
  play_device([&](scripted_end& end) { end.answer(end.take(), nt::success, large); });
  std::vector<uint8_t> buffer(65536);
  uint64_t got = 0;
  // The host has ended by the time that this is sent, or not: what it had said counts.
  EXPECT_EQ(read(buffer, got), nt::success);
  EXPECT_EQ(got, large.size());
  EXPECT_EQ(buffer[got - 1], 7);
  EXPECT_EQ(read(buffer, got), nt::device_removed);
  EXPECT_EQ(got, 0u);
}

TEST_F(socket_client_test, half_an_answer_is_none) {
  play_device([&](scripted_end& end) {
    const raw_frame request = end.take();
    const auto frame = bytes(wire::frame_header{30000, static_cast<uint16_t>(frame_kind::answer), 0, request.header.id}, wire::answer_header{0, 0});
    end.say(frame);
    end.say(std::vector<uint8_t>(20000, 1));
  });
  std::vector<uint8_t> buffer(65536);
  uint64_t got = 0;
  EXPECT_EQ(read(buffer, got), nt::device_removed);
  EXPECT_EQ(got, 0u);
}

TEST_F(socket_client_test, an_answer_longer_than_what_was_asked_for_is_not_believed) {
  play_device([&](scripted_end& end) { end.answer(end.take(), nt::success, std::vector<uint8_t>(101)); });
  std::vector<uint8_t> buffer(100);
  uint64_t got = 0;
  EXPECT_EQ(read(buffer, got), nt::device_removed);
}

TEST_F(socket_client_test, an_answer_to_nothing_is_not_believed) {
  play_device([&](scripted_end& end) {
    const raw_frame request = end.take();
    end.say(frame_kind::answer, request.header.id + 1, bytes(wire::answer_header{0, 0}));
  });
  std::vector<uint8_t> buffer(100);
  uint64_t got = 0;
  EXPECT_EQ(read(buffer, got), nt::device_removed);
}

TEST_F(socket_client_test, what_is_no_frame_of_a_host_ends_the_connection) {
  for (const std::vector<uint8_t>& said :
       {bytes(wire::frame_header{4, static_cast<uint16_t>(frame_kind::answer), 0, 2}, uint32_t{0}),
        bytes(wire::frame_header{~uint32_t{0}, static_cast<uint16_t>(frame_kind::answer), 0, 2}, uint64_t{0}),
        bytes(wire::frame_header{0, 77, 0, 2}), bytes(wire::frame_header{1000, static_cast<uint16_t>(frame_kind::map), 0, 1})}) {
    play_device([&](scripted_end& end) {
      (void)end.take();
      end.say(said);
    });
    std::vector<uint8_t> buffer(100);
    uint64_t got = 0;
    EXPECT_EQ(read(buffer, got), nt::device_removed);
    device.reset();
    playing.join();
    ::unlink(path.c_str());
  }
}

TEST_F(socket_client_test, only_what_was_mapped_so_can_be_taken_away) {
  static const uint8_t mine[4096] = {1};
  play_device([&](scripted_end& end) {
    const raw_frame request = end.take();
    end.say(frame_kind::map, 1, bytes(wire::map_request{0, 4096, 0, 0}));  // without a descriptor
    const raw_frame refused = end.take();
    EXPECT_EQ(refused.status(), nt::invalid_parameter);
    end.say(frame_kind::unmap, 2, bytes(wire::unmap_request{reinterpret_cast<uint64_t>(mine) & ~uint64_t{4095}, 4096}));
    end.answer(request, nt::success);
  });
  std::vector<uint8_t> buffer(100);
  uint64_t got = 0;
  EXPECT_EQ(read(buffer, got), nt::success);
  EXPECT_EQ(*const_cast<volatile const uint8_t*>(mine), 1);  // still there
}

TEST_F(socket_client_test, whoever_greets_otherwise_is_no_machine) {
  const auto greeting = [](uint32_t magic, uint32_t version, int32_t status) {
    return [=](scripted_end& end) {
      (void)end.take();
      end.say(frame_kind::hello, 0, bytes(wire::server_hello{magic, version, status, 4096}));
    };
  };
  play({greeting(1, wire::version, 0), greeting(wire::hello_magic, 9, 0), greeting(wire::hello_magic, wire::version, nt::access_denied),
        greeting(wire::hello_magic, wire::version, 0) /* and no page */, [](scripted_end&) {}});
  for (int i = 0; i < 5; ++i) EXPECT_THROW(connect_system(path), source_error);
}

TEST_F(socket_client_test, why_a_connection_was_not_made_is_said) {
  const auto refuses = [](int32_t status) {
    return [=](scripted_end& end) {
      (void)end.take();
      end.say(frame_kind::hello, 0, bytes(wire::server_hello{wire::hello_magic, wire::version, status, 4096}));
    };
  };
  const std::pair<int32_t, std::string> refusals[] = {{nt::object_name_not_found, "nobody serves there"},
                                                      {nt::access_denied, "access is denied: only its owner and root may connect"},
                                                      {nt::connection_count_limit, "it has as many connections as it serves"},
                                                      {nt::revision_mismatch, "it speaks another version of the framing"},
                                                      {nt::insufficient_resources, "NT status 0xc000009a"}};
  std::vector<script> scripts;
  for (const auto& [status, text] : refusals) scripts.push_back(refuses(status));
  play(std::move(scripts));
  for (const auto& [status, text] : refusals) {
    try {
      (void)connect_system(path);
      ADD_FAILURE() << "connected: " << text;
    } catch (const source_error& error) {
      EXPECT_EQ(std::string(error.what()), "cannot connect to the machine at " + path + ": " + text);
    }
  }
  for (const char* const name : {"", "a b", "-x"}) {
    try {
      (void)connect_system(name);
      ADD_FAILURE() << "connected to " << name;
    } catch (const source_error& error) {
      EXPECT_NE(std::string(error.what()).find("is no name of a machine"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace sluice
