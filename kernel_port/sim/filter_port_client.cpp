#include "kernel_port/sim/filter_port_client.h"

#include <unistd.h>

#include <bit>

#include "kernel_port/sim/attachment.h"
#include "kernel_port/sim/filter_manager.h"
#include "kernel_port/sim/filter_pending.h"
#include "kernel_port/sim/implementation.h"

namespace sluice::sim {
namespace {

// The process is in this host process: its calls enter the kernel on the calling thread.
class direct_link final : public filter_port_link {
 public:
  direct_link(machine::implementation& machine, std::shared_ptr<port_connection> connection)
      : machine_(machine), connection_(std::move(connection)) {}

  NTSTATUS get_message(const std::shared_ptr<pending_message::state>& message) override {
    const borrowed_thread thread(machine_, connection_->pid);
    return machine_.filters.get(*connection_, message);
  }
  void cancel(const std::shared_ptr<pending_message::state>& message) override {
    const borrowed_thread thread(machine_, connection_->pid);
    machine_.filters.cancel(*connection_, message);
  }
  void cancel_begun(std::optional<uint64_t> key) override {
    const borrowed_thread thread(machine_, connection_->pid);
    machine_.filters.cancel_begun(*connection_, key);
  }
  NTSTATUS reply(std::span<const uint8_t> reply) override {
    const borrowed_thread thread(machine_, connection_->pid);
    return machine_.filters.reply(*connection_, reply);
  }
  NTSTATUS send_message(user_memory* in, uint32_t in_bytes, user_memory* out, uint32_t out_bytes,
                        uint64_t& written) override {
    const borrowed_thread thread(machine_, connection_->pid);
    return machine_.filters.message(*connection_, in, in_bytes, out, out_bytes, written);
  }
  void disconnect() override {
    const borrowed_thread thread(machine_, connection_->pid);
    machine_.filters.disconnect(connection_);
  }

 private:
  machine::implementation& machine_;
  const std::shared_ptr<port_connection> connection_;
};

// At least `bytes` long, and faulting behind them.
user_memory* scratch(std::unique_ptr<user_memory>& kept, size_t bytes) {
  if (bytes == 0) return nullptr;
  if (!kept || kept->size() < bytes) kept = std::make_unique<user_memory>(std::bit_ceil(bytes));
  kept->accessible_up_to(bytes);
  return kept.get();
}

}  // namespace

NTSTATUS connect_filter_port(machine& machine, const port_connect_request& request,
                             std::unique_ptr<filter_port_link>& link) {
  machine::implementation& system = machine.detail();
  const borrowed_thread thread(system, request.pid);
  std::shared_ptr<port_connection> connection;
  const NTSTATUS status = system.filters.connect(request, connection);
  if (NT_SUCCESS(status)) link = std::make_unique<direct_link>(system, std::move(connection));
  return status;
}

pending_message::pending_message() = default;
pending_message::~pending_message() = default;
pending_message::pending_message(pending_message&&) noexcept = default;
pending_message& pending_message::operator=(pending_message&&) noexcept = default;

bool pending_message::is_done() const {
  const borrowed_thread thread(state_->system, system_pid);
  return KeReadStateEvent(&state_->done) != 0;
}

NTSTATUS pending_message::wait(std::optional<std::chrono::nanoseconds> timeout) {
  const borrowed_thread thread(state_->system, system_pid);
  std::optional<deadline> until;
  if (timeout) until = the_scheduler.now() + *timeout;
  if (wait_for(state_->done.Header, until) == STATUS_TIMEOUT) return STATUS_TIMEOUT;
  return state_->status;
}

std::span<const uint8_t> pending_message::message() const { return {state_->buffer.get(), state_->bytes}; }

NTSTATUS filter_port::connect(machine& machine, std::u16string_view name, std::span<const uint8_t> context,
                              uint32_t pid, std::optional<uint32_t> user) {
  close();
  return connect_filter_port(machine,
                             {std::u16string(name), {context.begin(), context.end()}, pid,
                              user.value_or(static_cast<uint32_t>(geteuid()))},
                             link_);
}

NTSTATUS filter_port::begin_get(size_t capacity, pending_message& message) {
  if (!link_) return STATUS_INVALID_HANDLE;
  message.state_ = std::make_shared<pending_message::state>(machine::current().detail(), capacity);
  return link_->get_message(message.state_);
}

void filter_port::begin_get(uint32_t capacity, uint64_t key, completion_port& to) {
  if (!link_) return to.completed(key, STATUS_INVALID_HANDLE, {});
  const auto message = std::make_shared<pending_message::state>(machine::current().detail(), capacity);
  message->to = &to;
  message->key = key;
  const NTSTATUS status = link_->get_message(message);
  // Refused: it never was the kernel's.
  if (status != STATUS_PENDING && message->status == STATUS_PENDING) to.completed(key, status, {});
}

void filter_port::cancel_begun(std::optional<uint64_t> key) {
  if (link_) link_->cancel_begun(key);
}

void filter_port::cancel(pending_message& message) {
  if (link_ && message.state_) link_->cancel(message.state_);
}

NTSTATUS filter_port::get_message(std::span<uint8_t> buffer, uint64_t& bytes,
                                  std::optional<std::chrono::nanoseconds> timeout) {
  bytes = 0;
  pending_message message;
  NTSTATUS status = begin_get(buffer.size(), message);
  if (status == STATUS_PENDING) {
    status = message.wait(timeout);
    if (status == STATUS_TIMEOUT) {
      cancel(message);
      status = message.wait();  // a message that came meanwhile is not lost
      if (status == STATUS_CANCELLED) status = STATUS_TIMEOUT;
    }
  }
  if (status == STATUS_SUCCESS) {
    bytes = message.message().size();
    memcpy(buffer.data(), message.message().data(), bytes);
  }
  return status;
}

NTSTATUS filter_port::reply(std::span<const uint8_t> reply) {
  return link_ ? link_->reply(reply) : STATUS_INVALID_HANDLE;
}

NTSTATUS filter_port::send(std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes) {
  const std::lock_guard lock(scratch_mutex_);
  user_memory* const from = scratch(scratch_in_, in.size());
  user_memory* const to = scratch(scratch_out_, out.size());
  if (from != nullptr) memcpy(from->data(), in.data(), in.size());
  const NTSTATUS status =
      send(from, static_cast<uint32_t>(in.size()), to, static_cast<uint32_t>(out.size()), bytes);
  if (to != nullptr && bytes != 0) memcpy(out.data(), to->data(), bytes);
  return status;
}

NTSTATUS filter_port::send(user_memory* in, uint32_t in_bytes, user_memory* out, uint32_t out_bytes, uint64_t& bytes) {
  bytes = 0;
  return link_ ? link_->send_message(in, in_bytes, out, out_bytes, bytes) : STATUS_INVALID_HANDLE;
}

void filter_port::close() {
  if (!link_) return;
  link_->disconnect();
  link_.reset();
}

}  // namespace sluice::sim
