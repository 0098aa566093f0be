// Messages over a connection, both ways.
#include <algorithm>

#include "kernel_port/sim/filter_callback.h"
#include "kernel_port/sim/filter_pending.h"
#include "kernel_port/sim/implementation.h"

namespace sluice::sim {

void filter_manager::finish(message_sender& sender, NTSTATUS status) {
  sender.status = status;
  sender.done = true;
  signal_object(sender.wake.Header);
}

// With the lock held, by a section: it tells those that nobody waits for.
void filter_manager::finish(const std::shared_ptr<pending_message::state>& message, NTSTATUS status) {
  if (message->to != nullptr) finished_.push_back(message);
  message->complete(status);
}

filter_manager::section::~section() {
  const auto finished = std::move(filters_.finished_);
  filters_.finished_.clear();
  lock_.unlock();
  for (const auto& message : finished) {
    message->to->completed(message->key, message->status, {message->buffer.get(), message->bytes});
  }
}

// With the lock held. The getter's buffer is too short: it is told so, and so is the sender, whose message nobody has.
void filter_manager::deliver(port_connection& connection, message_sender& sender,
                             const std::shared_ptr<pending_message::state>& message) {
  pending_message::state& getter = *message;
  const uint64_t bytes = sizeof(filter_message_header) + sender.length;
  if (getter.capacity < bytes) {
    finish(message, STATUS_BUFFER_TOO_SMALL);
    finish(sender, STATUS_BUFFER_OVERFLOW);
    return;
  }
  const filter_message_header header{
      sender.reply == nullptr ? 0 : static_cast<uint32_t>(sizeof(filter_reply_header)) + sender.reply_room, 0,
      sender.id};
  memcpy(getter.buffer.get(), &header, sizeof header);
  if (sender.length != 0) memcpy(getter.buffer.get() + sizeof header, sender.content, sender.length);
  getter.bytes = bytes;
  if (sender.reply != nullptr) {
    connection.awaiting_reply.emplace(sender.id, &sender);
  } else {
    finish(sender, STATUS_SUCCESS);
  }
  finish(message, STATUS_SUCCESS);
}

NTSTATUS filter_manager::send(PFLT_FILTER filter, PFLT_PORT* port, message_sender& sender, PLARGE_INTEGER timeout) {
  std::optional<deadline> until;
  if (timeout != nullptr) until = deadline_of(*timeout);
  KeInitializeEvent(&sender.wake, NotificationEvent, FALSE);
  std::shared_ptr<port_connection> connection;
  {
    const section inside(*this);
    known(filter, "FltSendMessage");
    PFLT_PORT const to = *port;
    if (to == nullptr) return STATUS_PORT_DISCONNECTED;
    const auto found =
        std::ranges::find_if(connections_, [to](const auto& candidate) { return &candidate->port == to; });
    if (found == connections_.end() || (*found)->driver_closed || to->filter != filter) {
      stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE1, as_argument(to), 0, 0,
           "FltSendMessage to a port that is closed, or is no client port of this filter.");
    }
    connection = *found;
    if (connection->severed) return STATUS_PORT_DISCONNECTED;
    sender.id = next_message_++;
    if (connection->getters.empty()) {
      connection->senders.push_back(&sender);
    } else {
      const auto getter = connection->getters.front();
      connection->getters.pop_front();
      deliver(*connection, sender, getter);
    }
    if (sender.done) return sender.status;
  }
  wait_for(sender.wake.Header, until);
  internal_lock lock(mutex_);
  if (sender.done) return sender.status;
  std::erase(connection->senders, &sender);
  connection->awaiting_reply.erase(sender.id);
  return STATUS_TIMEOUT;
}

NTSTATUS filter_manager::get(port_connection& connection, const std::shared_ptr<pending_message::state>& message) {
  const section inside(*this);
  if (message->capacity < sizeof(filter_message_header)) return STATUS_INVALID_PARAMETER;
  if (connection.severed) return connection.notified ? STATUS_INVALID_HANDLE : STATUS_PORT_DISCONNECTED;
  if (connection.senders.empty()) {
    connection.getters.push_back(message);
    return STATUS_PENDING;
  }
  message_sender& sender = *connection.senders.front();
  connection.senders.pop_front();
  deliver(connection, sender, message);
  return message->status;
}

void filter_manager::cancel(port_connection& connection, const std::shared_ptr<pending_message::state>& message) {
  const section inside(*this);
  if (std::erase(connection.getters, message) != 0) finish(message, STATUS_CANCELLED);
}

void filter_manager::cancel_begun(port_connection& connection, std::optional<uint64_t> key) {
  const section inside(*this);
  std::erase_if(connection.getters, [&](const auto& message) {
    if (message->to == nullptr || (key && message->key != *key)) return false;
    finish(message, STATUS_CANCELLED);
    return true;
  });
}

NTSTATUS filter_manager::reply(port_connection& connection, std::span<const uint8_t> reply) {
  if (reply.size() < sizeof(filter_reply_header)) return STATUS_INVALID_PARAMETER;
  filter_reply_header header;
  memcpy(&header, reply.data(), sizeof header);
  internal_lock lock(mutex_);
  if (connection.severed) return connection.notified ? STATUS_INVALID_HANDLE : STATUS_PORT_DISCONNECTED;
  const auto found = connection.awaiting_reply.find(header.message_id);
  if (found == connection.awaiting_reply.end()) return STATUS_FLT_NO_WAITER_FOR_REPLY;
  message_sender& sender = *found->second;
  connection.awaiting_reply.erase(found);
  const size_t content = reply.size() - sizeof header;
  sender.replied = static_cast<uint32_t>(std::min<size_t>(content, sender.reply_room));
  if (sender.replied != 0) memcpy(sender.reply, reply.data() + sizeof header, sender.replied);
  finish(sender, content > sender.reply_room ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS);
  return STATUS_SUCCESS;
}

NTSTATUS filter_manager::message(port_connection& connection, user_memory* in, uint32_t in_bytes, user_memory* out,
                                 uint32_t out_bytes, uint64_t& written) {
  written = 0;
  PFLT_FILTER filter = nullptr;
  {
    internal_lock lock(mutex_);
    if (connection.severed) return connection.notified ? STATUS_INVALID_HANDLE : STATUS_PORT_DISCONNECTED;
    if (connection.server->message == nullptr) return STATUS_INVALID_DEVICE_REQUEST;
    filter = connection.port.filter;
    callback_scope::enter(*filter);
  }
  ULONG returned = 0;
  NTSTATUS status;
  {
    const auto routine = connection.server->message;
    const callback_scope scope(filter, reinterpret_cast<const void*>(routine), "A message callback");
    status = into_driver([&] {
      return routine(connection.cookie, in == nullptr ? nullptr : in->address(), in_bytes,
                     out == nullptr ? nullptr : out->address(), out_bytes, &returned);
    });
  }
  if (returned > out_bytes) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE1, returned, out_bytes, 0,
         "A message callback returned %u bytes in a buffer of %u.", returned, out_bytes);
  }
  if (!NT_ERROR(status)) written = returned;
  internal_lock lock(mutex_);
  callback_scope::leave(*filter);
  return status;
}

}  // namespace sluice::sim

using namespace sluice::sim;

extern "C" {

NTSTATUS FltSendMessage(PFLT_FILTER Filter, PFLT_PORT* ClientPort, PVOID SenderBuffer, ULONG SenderBufferLength,
                        PVOID ReplyBuffer, PULONG ReplyLength, PLARGE_INTEGER Timeout) {
  require_irql_at_most(APC_LEVEL, "FltSendMessage");
  if (SenderBuffer == nullptr || (ReplyBuffer != nullptr && ReplyLength == nullptr)) {
    stop(bug::PAGE_FAULT_IN_NONPAGED_AREA, 0, 0, 0, 0, "FltSendMessage with a null %s.",
         SenderBuffer == nullptr ? "sender buffer" : "reply length");
  }
  the_scheduler.point(point_kind::wait);
  message_sender sender{};
  sender.content = static_cast<const uint8_t*>(SenderBuffer);
  sender.length = SenderBufferLength;
  sender.reply = static_cast<uint8_t*>(ReplyBuffer);
  sender.reply_room = ReplyBuffer != nullptr ? *ReplyLength : 0;
  if (const NTSTATUS failed = the_machine().injected_failure(machine::failure::message_sending); failed != STATUS_SUCCESS) return failed;
  const NTSTATUS status = the_machine().filters.send(Filter, ClientPort, sender, Timeout);
  if (ReplyBuffer != nullptr) *ReplyLength = sender.replied;
  return status;
}
}
