// What a client and the driver say to each other, through the device or the filter communication port. Shared by driver and
// consumers; fixed width, little-endian.
//
// Reading: IRP_MJ_READ gives one batch (pipeline/batch.h) in merge order; it pends while nothing is ready. A read buffer
// shorter than min_read_bytes fails with STATUS_BUFFER_TOO_SMALL. One handle at a time may read.
// Control: METHOD_BUFFERED device controls below. Every message starts with its version.
// The port: docs/port.md. A client connects with a port_context; each message it gets is one batch; what it sends is a
// port_message and the input of the control, what comes back is the control's output.
#pragma once

#include "pipeline/account.h"
#include "pipeline/record.h"
#include "pipeline/region.h"
#include "producers/filter_message.h"

namespace sluice::protocol {

inline constexpr char16_t device_name[] = u"\\Device\\Sluice";
inline constexpr char16_t link_name[] = u"\\DosDevices\\Sluice";

inline constexpr uint32_t version = 2;
inline constexpr uint32_t min_read_bytes = 64 * 1024;  // holds the longest record of any ring

constexpr uint32_t control_code(uint32_t function, uint32_t access) {
  constexpr uint32_t device_type = 0x8000 | 0x0c;  // vendor-defined range
  constexpr uint32_t method_buffered = 0;
  return device_type << 16 | access << 14 | function << 2 | method_buffered;
}
inline constexpr uint32_t access_read = 1;
inline constexpr uint32_t access_write = 2;

inline constexpr uint32_t code_capabilities = control_code(0x900, access_read);  // out: capabilities
inline constexpr uint32_t code_statistics = control_code(0x901, access_read);    // out: statistics_header, statistics_row[]
inline constexpr uint32_t code_set_types = control_code(0x902, access_write);    // in: set_types
inline constexpr uint32_t code_types = control_code(0x903, access_read);         // out: type_declaration_payload + fields, one after another, each padded to 8
inline constexpr uint32_t code_flush = control_code(0x904, access_read);         // completes the pending read with what is final now, even if empty

// Filters (producers/filter_message.h). PASSIVE_LEVEL; a filter is in force for every event that begins after the answer.
inline constexpr uint32_t code_set_filter = control_code(0x905, access_write);    // in: a filter message; out: filter_answer
inline constexpr uint32_t code_clear_filter = control_code(0x906, access_write);  // out: filter_answer
inline constexpr uint32_t code_filter = control_code(0x907, access_read);         // out: filter_state, then the message; too short a buffer: filter_state alone and STATUS_BUFFER_OVERFLOW

inline constexpr uint32_t code_copy_ring = control_code(0x910, access_read);  // in: ring_copy_request; out: ring_copy, records
// The mapping (docs/mapping.md): of the device only, and of the handle that has mapped.
inline constexpr uint32_t code_map = control_code(0x911, access_read | access_write);   // in: map_request; out: map_answer, mapped_ring[]; too short a buffer: map_answer with the count alone and STATUS_BUFFER_OVERFLOW
inline constexpr uint32_t code_announce = control_code(0x912, access_read);             // out, if there is room: wait_answer
inline constexpr uint32_t code_wait = control_code(0x913, access_read);                 // pends until a record is closed; out: as code_announce
inline constexpr uint32_t code_wake = control_code(0x914, access_read);                 // ends the pending code_wait, or the next one unless an announcement comes first
inline constexpr uint32_t code_clients = control_code(0x908, access_read);       // out: clients_header, client_row[]
// Over the port only: the client's own choice of types, as in its port_context, for every record that the merge hands out after
// the answer. What waits in its queue stays there. in: set_types
inline constexpr uint32_t code_client_types = control_code(0x909, access_write);
// Over the port only: a filter of the client's own (kernel_port/driver/client_filter.h), beside its types and the driver's filter.
inline constexpr uint32_t code_set_client_filter = control_code(0x90a, access_write);    // in: a filter message; out: filter_answer, generation 0
inline constexpr uint32_t code_clear_client_filter = control_code(0x90b, access_write);  // out: filter_answer
inline constexpr uint32_t code_client_filter = control_code(0x90c, access_read);         // out: as code_filter
inline constexpr uint32_t max_client_filter_bytes = 256 * 1024;  // it stays in the kernel's memory, for each of 32 clients
inline constexpr uint32_t code_client_row = control_code(0x90d, access_read);            // over the port only. out: the client_row of who asks

inline constexpr char16_t port_name[] = u"\\SluicePort";
inline constexpr uint32_t message_header_bytes = 16;  // FILTER_MESSAGE_HEADER, in front of a batch that a client gets
inline constexpr uint32_t max_port_clients = 32;
inline constexpr uint32_t client_name_bytes = 32;
inline constexpr uint32_t max_control_bytes = (4u << 20) + 4096;  // of a message over the port, each way

// The context of a connection. What cannot be served is refused, and nothing is assumed for it.
inline constexpr uint32_t port_context_magic = 0x50434c53;  // "SLCP"
inline constexpr uint32_t port_order_merged = 0;            // the order of the merge: pipeline/merge.h, M1
inline constexpr uint32_t port_flag_without_own_process = 0x0001;  // events that happen in the client's process are left out
struct port_context {
  uint32_t magic;
  uint32_t version;    // protocol::version; another one: STATUS_REVISION_MISMATCH
  uint64_t types;      // bit n: type n is wanted; what describes the stream comes always
  uint32_t order;      // port_order_merged; another one: STATUS_NOT_SUPPORTED
  uint32_t flags;      // port_flag_*; an unknown one: STATUS_INVALID_PARAMETER
  char name[client_name_bytes];  // printable ASCII, at least one character, then zeros: STATUS_INVALID_PARAMETER otherwise
};
static_assert(sizeof(port_context) == 56);

// In front of what a client sends over the port.
struct port_message {
  uint32_t version;
  uint32_t code;  // code_*, as for the device
};
static_assert(sizeof(port_message) == 8);

struct clients_header {
  uint32_t version;
  uint32_t row_count;   // clients that there are; rows follow for as many as fit
  int32_t port_status;  // NTSTATUS: why there is no port (STATUS_FLT_NOT_INITIALIZED: not yet); 0: there is one
  uint32_t reserved;
  // Sums over the clients that have left: gone_offered = gone_delivered + gone_lost + gone_undelivered, always.
  uint64_t gone_clients;
  uint64_t gone_offered;
  uint64_t gone_delivered;
  uint64_t gone_lost;
  uint64_t gone_undelivered;  // waited in their queues when they left
};
static_assert(sizeof(clients_header) == 56);

// offered = delivered + lost + waiting, always, also while events flow.
struct client_row {
  char name[client_name_bytes];
  uint64_t types;
  uint32_t pid;
  uint32_t waiting_batches;
  uint64_t offered;  // records that it wants
  uint64_t delivered;
  uint64_t lost;     // for want of room in its queue; announced to it
  uint64_t waiting;  // in its queue, or in a message that is being sent
  uint64_t delivered_batches;
  uint64_t failed_sends;  // of FltSendMessage, other than by timeout; the batch is sent again
};
static_assert(sizeof(client_row) == 96);

// Which registration the kernel gave, per callback.
enum class registration : uint8_t { none = 0, plain = 1, ex = 2, ex2 = 3 };

struct capabilities {
  uint32_t version;
  uint32_t cpu_count;
  uint64_t boot;
  uint64_t clock_frequency;
  uint64_t types;  // bit n: this driver can produce type n
  uint32_t ring_bytes;
  uint32_t critical_bytes;
  uint32_t max_record_bytes;
  registration process_registration;
  registration thread_registration;
  registration image_registration;
  registration registry_registration;  // plain: CmRegisterCallback, ex: CmRegisterCallbackEx
  uint64_t anchor_counter;  // the clock's relation to UTC now, as in anchor_payload; anchor records tell of later ones
  uint64_t anchor_utc;
  uint64_t clock_offset;  // stream time - counter, as in epoch_payload: of the epoch that the stream is in
  uint32_t clock_epoch;
  uint32_t features;      // feature_*
};
static_assert(sizeof(capabilities) == 80);
inline constexpr uint32_t feature_mapping = 0x0001;  // code_map: the kernel can map read-only, and the rings are not overwritten
inline constexpr uint32_t feature_port = 0x0002;     // clients can connect to port_name; if not, clients_header::port_status says why
inline constexpr uint32_t feature_overwrite = 0x0004;  // the rings overwrite what nobody reads (option Mode)

struct statistics_header {
  uint32_t version;
  uint32_t row_count;     // rows that follow; if the buffer was too short, rows that would have followed
  uint64_t violations;    // R5: claims of the consumer's side that were refused
  uint64_t late_records;  // delivered after something younger
  uint64_t overdue_records;  // reservations that were open past the limit
  uint64_t switched_off;  // callbacks that met a type switched off; not part of `attempted`
};
static_assert(sizeof(statistics_header) == 40);

struct statistics_row {
  uint16_t cpu;
  uint16_t type;
  uint32_t reserved;
  account_row account;  // `attempted` includes what was filtered
  uint64_t filtered[filter_reason_count];

  constexpr uint64_t filtered_total() const {
    uint64_t sum = 0;
    for (uint64_t n : filtered) sum += n;
    return sum;
  }
  // R3, with the filter.
  constexpr bool balances() const {
    return account.attempted == account.committed + account.discarded + account.open + account.dropped_total() +
                                    filtered_total();
  }
};
static_assert(sizeof(statistics_row) == 136);
static_assert(offsetof(statistics_row, account) == 8 && offsetof(statistics_row, filtered) == 80);

struct set_types {
  uint32_t version;
  uint32_t reserved;
  uint64_t types;  // bit n: produce type n; a bit that the capabilities lack is refused
};
static_assert(sizeof(set_types) == 16);

// Maps the rings into the calling process. Again, by the same handle and process: those of CPUs that were added, too.
struct map_request {
  uint32_t version;
  uint32_t reserved;  // 0
};
static_assert(sizeof(map_request) == 8);

struct map_answer {
  uint32_t version;
  uint32_t ring_count;  // mapped_ring that follow, in the order of (cpu, lane)
  uint64_t boot;
  uint64_t clock_frequency;
  uint64_t margin_ticks;   // slack of the merge, and what passes between an announcement and the look that may lead to sleep
  uint64_t overdue_ticks;  // an open record that is older no longer holds the stream back; 0: it always does
  uint64_t step_back;      // ticks: a clock that goes back by more begins an epoch
  uint64_t clock_offset;   // of the epoch that the stream is in: as in the capabilities
  uint32_t clock_epoch;
  uint32_t cpu_count;      // the most that this machine can have
};
static_assert(sizeof(map_answer) == 64);

struct mapped_ring {
  uint16_t cpu;
  uint8_t lane;
  uint8_t reserved;
  uint32_t region_bytes;  // producer page, data and apron: read-only
  uint64_t region;        // in the process; a multiple of a page
  uint64_t consumer;      // the consumer page: writable
  uint64_t position;      // 64-bit extension: where the first record stands that is this client's
  uint64_t announced;     // events that LOSS records before `position` have told of; lane 0 counts for its CPU
};
static_assert(sizeof(mapped_ring) == 40);

struct wait_answer {
  uint32_t version;
  uint32_t ring_count;  // more than were mapped: CPUs were added
};
static_assert(sizeof(wait_answer) == 8);

// A copy of what a ring holds, while everything goes on (pipeline/ring_copy.h). A piece has at most max_ring_copy_bytes of records;
// the rest comes with `next`. A piece that does not begin where the one before ended is a first one: what lies between was
// overwritten, or given back, and what was copied before it is no longer part of the ring.
inline constexpr uint32_t max_ring_copy_bytes = 1 << 20;

struct ring_copy_request {
  uint32_t version;
  uint16_t cpu;
  uint8_t lane;
  uint8_t next;  // 0: a first piece; 1: what follows the last piece that this handle was given
};
static_assert(sizeof(ring_copy_request) == 8);

struct ring_copy {
  uint32_t version;
  uint32_t header_bytes;  // of this, and where the first record stands
  uint32_t record_bytes;  // whole records, one behind another as in the ring
  uint8_t overtaken;      // 1: overwritten faster than it could be copied; there are no records
  uint8_t damaged;        // 1: the ring contradicts itself behind `end`
  uint8_t loss_is_known;  // 0: the figures of losses were being written
  uint8_t reserved;
  uint64_t begin;      // of the first record
  uint64_t end;        // behind the last one
  uint64_t until;      // what was published when the copy began
  uint64_t consumed;   // what lies before was given back by the worker
  region_header region;
  uint64_t loss_first_time;  // what this CPU has dropped: loss_figures of the region
  uint64_t loss_last_time;
  uint64_t loss_bytes;
  uint64_t loss_events;
  uint64_t committed[max_record_types];  // of a first piece in overwrite mode: committed records before `begin`, by type
  uint32_t dropped[max_record_types];
};
static_assert(sizeof(ring_copy) == 48 + sizeof(region_header) + 32 + 12 * max_record_types);
static_assert(sizeof(ring_copy) % record_alignment == 0);

}  // namespace sluice::protocol
