// Frames, from both sides of the socket between a process and the process of a simulated machine. The first byte says who is
// fuzzed: the host, which is told anything by a process; or the process, which is told anything by a host. The machine, with the
// driver on it, is the same for all inputs; each connection begins and ends with its input.
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "consumers/nt/socket_link.h"
#include "kernel_port/driver/protocol.h"
#include "kernel_port/sim/host/connection.h"
#include "kernel_port/sim/machine.h"
#include "tests/fuzz/script.h"

extern "C" NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path);

namespace sluice {
namespace {

template <class value>
void append(std::vector<uint8_t>& to, const value& what) {
  const auto* const bytes = reinterpret_cast<const uint8_t*>(&what);
  to.insert(to.end(), bytes, bytes + sizeof what);
}

void append_frame(std::vector<uint8_t>& to, wire::frame_kind kind, uint64_t id, std::span<const uint8_t> body) {
  append(to, wire::frame_header{static_cast<uint32_t>(body.size()), static_cast<uint16_t>(kind), 0, id});
  to.insert(to.end(), body.begin(), body.end());
}

// What the input says, as it is or put into frames.
void append_rest(std::vector<uint8_t>& to, fuzz::script& input, bool framed, std::span<const wire::frame_kind> kinds) {
  for (uint64_t id = 1; framed && !input.ended(); ++id) {
    const uint8_t which = input.byte();
    const wire::frame_kind kind = which < 224 ? kinds[which % kinds.size()] : static_cast<wire::frame_kind>(input.byte());
    append_frame(to, kind, which % 16 == 0 ? input.byte() : id, input.take_bytes(input.byte()));
  }
  const std::span<const uint8_t> rest = input.take_bytes(~size_t{0});
  to.insert(to.end(), rest.begin(), rest.end());
}

void send_all(int socket, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

std::vector<uint8_t> receive_all(int socket) {
  std::vector<uint8_t> all;
  uint8_t some[16384];
  for (ssize_t n; (n = ::recv(socket, some, sizeof some, 0)) > 0;) all.insert(all.end(), some, some + n);
  return all;
}

// Whatever it was told, the host speaks in whole frames.
void check_frames(std::span<const uint8_t> said) {
  while (!said.empty()) {
    wire::frame_header header;
    if (said.size() < sizeof header) std::abort();
    std::memcpy(&header, said.data(), sizeof header);
    if (header.flags != 0 || header.bytes > said.size() - sizeof header) std::abort();
    said = said.subspan(sizeof header + header.bytes);
  }
}

class hosted_machine {
 public:
  hosted_machine() : machine_({.shared_memory = true}) {
    if (!NT_SUCCESS(machine_.load_driver("sluice", &DriverEntry))) std::abort();
  }
  ~hosted_machine() {
    if (!NT_SUCCESS(machine_.unload_driver("sluice"))) std::abort();
  }

  void serve(const std::vector<uint8_t>& said) {
    int sockets[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) std::abort();
    const wire::descriptor process(sockets[1]);
    std::vector<uint8_t> answers;
    std::jthread reader([&] { answers = receive_all(process.get()); });
    std::jthread writer([&] {
      send_all(process.get(), said);
      ::shutdown(process.get(), SHUT_WR);
    });
    {
      const sim::process_spaces::use space(spaces_, pid);
      sim::connection handle(machine_, wire::descriptor(sockets[0]), pid, ::getuid(), limits, space.get());
      handle.run([] {});
    }
    reader.join();
    check_frames(answers);
  }

 private:
  static constexpr uint32_t pid = 5000;
  static constexpr sim::connection_limits limits{16, 1u << 20, 1u << 16, std::chrono::minutes(1), std::chrono::milliseconds(5)};
  sim::machine machine_;
  sim::process_spaces spaces_;
};

void fuzz_host(fuzz::script& input, uint8_t how) {
  static constexpr wire::frame_kind kinds[] = {wire::frame_kind::open_device, wire::frame_kind::connect_port, wire::frame_kind::read,
                                               wire::frame_kind::control,     wire::frame_kind::get_message,  wire::frame_kind::reply,
                                               wire::frame_kind::send,        wire::frame_kind::cancel,       wire::frame_kind::set_information,
                                               wire::frame_kind::answer};
  static hosted_machine machine;
  std::vector<uint8_t> said;
  std::vector<uint8_t> body;
  if (how & 2) {
    append(body, wire::client_hello{wire::hello_magic, wire::version});
    append_frame(said, wire::frame_kind::hello, 0, body);
  }
  body.clear();
  if ((how & 12) == 4) {
    for (const char16_t unit : std::u16string_view(u"Sluice")) append(body, unit);
    append_frame(said, wire::frame_kind::open_device, 1000, body);
  } else if ((how & 12) == 8) {
    const std::u16string_view name = protocol::port_name;
    append(body, static_cast<uint16_t>(2 * name.size()));
    for (const char16_t unit : name) append(body, unit);
    append(body, protocol::port_context{protocol::port_context_magic, protocol::version, ~uint64_t{0}, 0, 0, "fuzz"});
    append_frame(said, wire::frame_kind::connect_port, 1000, body);
  }
  append_rest(said, input, (how & 16) != 0, kinds);
  machine.serve(said);
}

// A host without a machine, that says what it was told to, once, to whoever connects.
class forged_host {
 public:
  forged_host() : name_(1, '\0') {
    name_ += "sluice_wire_fuzz_" + std::to_string(::getpid());
    listening_ = wire::descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name_.data(), name_.size());
    if (::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || ::listen(listening_.get(), 1) != 0) {
      std::abort();
    }
  }
  const std::string& path() const { return name_; }

  // With the first byte, a descriptor that can be mapped, as often as that.
  void say(const std::vector<uint8_t>& what, uint32_t descriptors) {
    const wire::descriptor process(::accept(listening_.get(), nullptr, nullptr));
    if (!process) std::abort();
    for (size_t at = 0; descriptors != 0 && at < what.size(); ++at, --descriptors) send_with_descriptor(process.get(), what[at]);
    const size_t sent = std::min<size_t>(what.size(), descriptors_sent_);
    descriptors_sent_ = 0;
    send_all(process.get(), std::span(what).subspan(sent));
    ::shutdown(process.get(), SHUT_WR);
    (void)receive_all(process.get());
  }

 private:
  void send_with_descriptor(int socket, uint8_t byte) {
    iovec vector{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int number = file_.get();
    std::memcpy(CMSG_DATA(header), &number, sizeof number);
    (void)::sendmsg(socket, &message, MSG_NOSIGNAL);
    ++descriptors_sent_;
  }

  std::string name_;  // of the abstract kind: nothing is left of it
  wire::descriptor listening_;
  wire::descriptor file_{::memfd_create("mapped", MFD_CLOEXEC)};
  size_t descriptors_sent_ = 0;
};

void fuzz_process(fuzz::script& input, uint8_t how) {
  static constexpr wire::frame_kind kinds[] = {wire::frame_kind::answer, wire::frame_kind::answer, wire::frame_kind::map,
                                               wire::frame_kind::unmap, wire::frame_kind::hello};
  static forged_host host;
  std::vector<uint8_t> said;
  if (how & 2) {
    std::vector<uint8_t> body;
    append(body, wire::server_hello{wire::hello_magic, wire::version, 0, 4096});
    append_frame(said, wire::frame_kind::hello, 0, body);
  }
  append_rest(said, input, (how & 16) != 0, kinds);
  std::jthread speaker([&] { host.say(said, how >> 2 & 3); });
  std::unique_ptr<socket_link> link;
  wire::descriptor page;
  if (!succeeded(socket_link::connect(host.path(), link, page))) return;
  for (const size_t room : {size_t{0}, size_t{4}, size_t{64}, size_t{300}}) {
    const std::unique_ptr<uint8_t[]> out(new uint8_t[room]);
    uint64_t bytes = 0;
    (void)link->call(wire::frame_kind::read, {}, {out.get(), room}, bytes, {}, nt::device_removed);
    if (bytes > room) std::abort();
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::fuzz::script input({data, size});
  const uint8_t how = input.byte();
  how & 1 ? sluice::fuzz_process(input, how) : sluice::fuzz_host(input, how);
  return 0;
}
