// What comes from clients on the port. Contexts and messages are not trusted: each is read once, into memory of the kernel, and
// checked there field by field.
#include "kernel_port/driver/port.h"
#include "producers/user_memory.h"

namespace sluice {
namespace {

bool is_name(const char (&name)[protocol::client_name_bytes]) {
  uint32_t length = 0;
  while (length < sizeof name && name[length] >= 0x20 && name[length] < 0x7f) ++length;
  if (length == 0) return false;
  for (uint32_t i = length; i < sizeof name; ++i) {
    if (name[i] != 0) return false;
  }
  return true;
}

NTSTATUS read_context(const void* context_untrusted, uint32_t bytes, client_stream::wishes& what) {
  protocol::port_context context;
  // Magic and version come first in every version: a client of another one learns that, whatever else it sends.
  constexpr uint32_t least = sizeof context.magic + sizeof context.version;
  if (bytes < least) return STATUS_INFO_LENGTH_MISMATCH;
  const uint32_t read = bytes < sizeof context ? bytes : static_cast<uint32_t>(sizeof context);
  if (!copy_from_user_memory(&context, context_untrusted, read)) return STATUS_ACCESS_VIOLATION;
  if (context.magic != protocol::port_context_magic) return STATUS_INVALID_PARAMETER;
  if (context.version != protocol::version) return STATUS_REVISION_MISMATCH;
  if (bytes != sizeof context) return STATUS_INFO_LENGTH_MISMATCH;
  if (context.order != protocol::port_order_merged) return STATUS_NOT_SUPPORTED;
  if ((context.flags & ~protocol::port_flag_without_own_process) != 0) return STATUS_INVALID_PARAMETER;
  if (!is_name(context.name)) return STATUS_INVALID_PARAMETER;
  what.types = context.types;
  what.pid = HandleToULong(PsGetCurrentProcessId());
  what.without_pid = (context.flags & protocol::port_flag_without_own_process) != 0 ? what.pid : 0;
  copy_bytes(what.name, context.name, sizeof what.name);
  return STATUS_SUCCESS;
}

void destroy(port_client* client) {
  client->~port_client();
  ExFreePoolWithTag(client, pool_tag);
}

}  // namespace

NTSTATUS NTAPI port::on_connect(PFLT_PORT client_port, PVOID self, PVOID context, ULONG context_bytes, PVOID* cookie) {
  PAGED_CODE();
  const critical_region region;  // what others wait for is not to be suspended, here and below
  client_stream::wishes what;
  const NTSTATUS status = read_context(context, context_bytes, what);
  return NT_SUCCESS(status) ? static_cast<port*>(self)->connect(client_port, what, cookie) : status;
}

port::slot* port::take_slot() {
  for (slot& place : slots_) {
    if (InterlockedCompareExchange(&place.taken, 1, 0) == 0) return &place;
  }
  return nullptr;
}

NTSTATUS port::connect(PFLT_PORT client_port, const client_stream::wishes& what, PVOID* cookie) {
  PAGED_CODE();
  if (!worker_->consumers().join()) return STATUS_SHARING_VIOLATION;  // the rings are mapped
  slot* const place = take_slot();
  if (place == nullptr) {
    worker_->consumers().leave();
    return STATUS_CONNECTION_COUNT_LIMIT;
  }
  place->client = nullptr;
  const NTSTATUS status = admit(client_port, what, place->client);
  if (!NT_SUCCESS(status)) {
    worker_->consumers().leave();
    InterlockedExchange(&place->taken, 0);
    return status;
  }
  place->messages.start();
  *cookie = place;
  return STATUS_SUCCESS;
}

NTSTATUS port::admit(PFLT_PORT client_port, const client_stream::wishes& what, port_client*& made) {
  PAGED_CODE();
  void* const memory = allocate_nonpaged(*functions_, sizeof(port_client));
  if (memory == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
  port_client* const client = new (in_place{}, memory) port_client(worker_->clients(), filter_);
  const NTSTATUS status =
      client->start(*functions_, client_port, what, channel_->options().boot, worker_->frequency());
  if (!NT_SUCCESS(status)) {
    destroy(client);
    return status;
  }
  owner_.attached(owner_.context);  // before the client knows: what happens from then on is for it
  made = client;
  return STATUS_SUCCESS;
}

VOID NTAPI port::on_disconnect(PVOID cookie) {
  PAGED_CODE();
  const critical_region region;
  slot& place = *static_cast<slot*>(cookie);
  place.messages.end();
  place.client->stop();
  destroy(place.client);
  place.client = nullptr;
  place.owner->worker_->consumers().leave();
  InterlockedExchange(&place.taken, 0);
}

NTSTATUS NTAPI port::on_message(PVOID cookie, PVOID in, ULONG in_bytes, PVOID out, ULONG out_bytes, PULONG returned) {
  PAGED_CODE();
  slot& place = *static_cast<slot*>(cookie);
  *returned = 0;
  const critical_region region;
  const rundown_reference inside(place.messages);
  if (!inside) return STATUS_PORT_DISCONNECTED;
  uint32_t written = 0;
  const NTSTATUS status = place.owner->control(*place.client, in, in_bytes, out, out_bytes, written);
  *returned = written;
  return status;
}

// The whole message is captured by one copy, and answered from the copy: what the client does to its memory meanwhile changes
// nothing. The answer is made in kernel memory and written out at the end.
NTSTATUS port::control(port_client& from, PVOID in_untrusted, uint32_t in_bytes, PVOID out_untrusted, uint32_t out_bytes,
                       uint32_t& written) {
  written = 0;
  protocol::port_message header;
  if (in_bytes < sizeof header) return STATUS_INFO_LENGTH_MISMATCH;
  if (in_bytes > protocol::max_control_bytes) return STATUS_INVALID_BUFFER_SIZE;
  const uint32_t content = in_bytes - static_cast<uint32_t>(sizeof header);
  const uint32_t room = out_bytes < protocol::max_control_bytes ? out_bytes : protocol::max_control_bytes;
  const uint32_t bytes = static_cast<uint32_t>(sizeof header) + (content > room ? content : room);
  const message_share share(from.messages(), messages_, bytes);
  if (!NT_SUCCESS(share.status())) return share.status();
  nonpaged_memory memory;
  if (!memory.allocate(*functions_, bytes)) {
    return STATUS_INSUFFICIENT_RESOURCES;
  }
  if (!copy_from_user_memory(memory.get(), in_untrusted, in_bytes)) return STATUS_ACCESS_VIOLATION;
  copy_bytes(&header, memory.get(), sizeof header);
  if (header.version != protocol::version) return STATUS_REVISION_MISMATCH;
  uint8_t* const buffer = static_cast<uint8_t*>(memory.get()) + sizeof header;
  uint32_t answer = 0;
  const NTSTATUS status = owner_.control(owner_.context, header.code, buffer, content, room, answer, &from.stream());
  if (NT_ERROR(status)) return status;
  if (!copy_to_user_memory(out_untrusted, buffer, answer)) return STATUS_ACCESS_VIOLATION;
  written = answer;
  return status;
}

}  // namespace sluice
