// What a process and the process of a simulated machine say to each other over a Unix stream socket: docs/wire-format.md,
// "Framing". One connection is one handle. Fixed width, little-endian. Nothing of the machine is needed to use this.
#pragma once

#include <cstdint>

namespace sluice::wire {

inline constexpr uint32_t hello_magic = 0x48434c53;  // "SLCH"
inline constexpr uint32_t version = 1;

enum class frame_kind : uint16_t {
  hello = 1,   // both ways, first
  answer = 2,  // to the request of that id

  // From the process: requests.
  open_device = 16,      // the name, UTF-16
  connect_port = 17,     // u16 bytes of the name, the name, the context
  read = 18,             // capacity_request
  control = 19,          // control_request, input
  get_message = 20,      // capacity_request
  reply = 21,            // FILTER_REPLY_HEADER and content
  send = 22,             // capacity_request, message
  cancel = 23,           // cancel_request; has no answer
  set_information = 24,  // information_request, bytes

  // To the process: what the kernel does in its address space. The process answers.
  map = 32,    // map_request, and a descriptor beside it
  unmap = 33,  // unmap_request
};

struct frame_header {
  uint32_t bytes;  // that follow
  uint16_t kind;
  uint16_t flags;  // 0
  uint64_t id;     // of a request, as whoever asks chose it; not 0, and not that of one that is still open
};
static_assert(sizeof(frame_header) == 16);

// Of what follows a header. A longer one ends the connection.
inline constexpr uint32_t max_frame_bytes = (4u << 20) + 65536;
inline constexpr uint32_t max_name_bytes = 512;
inline constexpr uint32_t max_context_bytes = 65535;

struct client_hello {
  uint32_t magic;
  uint32_t version;
};
static_assert(sizeof(client_hello) == 8);

// With success, the descriptor of the page of the performance counter (kernel_port/sim/counter_page.h) beside it.
struct server_hello {
  uint32_t magic;
  uint32_t version;
  int32_t status;  // NTSTATUS; after an error the connection ends
  uint32_t counter_page_bytes;
};
static_assert(sizeof(server_hello) == 16);

struct answer_header {
  int32_t status;  // NTSTATUS
  uint32_t reserved;
};
static_assert(sizeof(answer_header) == 8);

struct capacity_request {
  uint32_t capacity;  // bytes that the answer may have
};
static_assert(sizeof(capacity_request) == 4);

struct control_request {
  uint32_t code;
  uint32_t capacity;
};
static_assert(sizeof(control_request) == 8);

struct cancel_request {
  uint64_t id;  // 0: every request that pends
};
static_assert(sizeof(cancel_request) == 8);

struct information_request {
  uint32_t information_class;
};
static_assert(sizeof(information_request) == 4);

struct map_request {
  uint64_t offset;
  uint64_t bytes;
  uint32_t writable;
  uint32_t token;
};
static_assert(sizeof(map_request) == 24);

struct unmap_request {
  uint64_t address;
  uint64_t bytes;
};
static_assert(sizeof(unmap_request) == 16);

struct map_answer {
  int32_t status;
  uint32_t reserved;
  uint64_t address;  // where it stands in the process
};
static_assert(sizeof(map_answer) == 16);

}  // namespace sluice::wire
