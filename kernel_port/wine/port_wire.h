// What our fltlib.dll says to our fltmgr.sys, over a device of the latter. Test-only: no other program has to understand it.
// METHOD_BUFFERED; addresses are of the calling process.
#pragma once

#include <stdint.h>

namespace sluice::wine {

inline constexpr char16_t bridge_device_name[] = u"\\Device\\SluicePortBridge";
inline constexpr char16_t bridge_link_name[] = u"\\DosDevices\\SluicePortBridge";

constexpr uint32_t bridge_control(uint32_t function) { return 0x8001u << 16 | function << 2; }
inline constexpr uint32_t bridge_connect = bridge_control(0x950);      // in: connect_request, the context behind it
inline constexpr uint32_t bridge_get_message = bridge_control(0x951);  // out: FILTER_MESSAGE_HEADER and the message; pends
inline constexpr uint32_t bridge_reply = bridge_control(0x952);        // in: FILTER_REPLY_HEADER and the reply
inline constexpr uint32_t bridge_send = bridge_control(0x953);         // in: send_request; out: send_answer

struct connect_request {
  char16_t name[64];  // with zeros behind
  uint32_t context_bytes;
  uint32_t reserved;
};
struct send_request {
  uint64_t in;
  uint64_t out;
  uint32_t in_bytes;
  uint32_t out_bytes;
};
struct send_answer {
  uint32_t returned;
};

struct message_header {  // FILTER_MESSAGE_HEADER
  uint32_t reply_bytes;
  uint32_t padding;
  uint64_t id;
};
struct reply_header {  // FILTER_REPLY_HEADER
  int32_t status;
  uint32_t padding;
  uint64_t id;
};

}  // namespace sluice::wine
