// Connections, as the driver uses them.
#include "kernel_port/wine/port.h"

#include <cstring>

#include "kernel_port/wine/device.h"

namespace sluice::wine {
namespace {

uint64_t next_message_id = 1;  // with ports_lock held

// Milliseconds that are left of an NT timeout, rounded up; 0: it has passed.
class time_limit {
 public:
  explicit time_limit(const LARGE_INTEGER* timeout) : endless_(timeout == nullptr) {
    if (endless_) return;
    LARGE_INTEGER now;
    GetSystemTimePreciseAsFileTime(&now);
    until_ = timeout->QuadPart < 0 ? now.QuadPart - timeout->QuadPart : timeout->QuadPart;
  }
  ULONG left() const {
    if (endless_) return for_ever;
    LARGE_INTEGER now;
    GetSystemTimePreciseAsFileTime(&now);
    return now.QuadPart >= until_ ? 0 : static_cast<ULONG>((until_ - now.QuadPart + 9999) / 10000);
  }

 private:
  bool endless_;
  LONGLONG until_ = 0;
};

std::shared_ptr<connection> referenced(PFLT_PORT* port) {
  const locked held(ports_lock);
  if (*port == nullptr) return nullptr;
  for (const auto& each : connections()) {
    if (each.get() == *port) return each;
  }
  report_violation("a client port that is none");
  return nullptr;
}

// A request of the client's, waited for. Null: `status` says why.
PIRP next_request(connection& to, const time_limit& limit, NTSTATUS& status) {
  for (;;) {
    {
      const locked held(ports_lock);
      if (to.closed) {
        status = STATUS_PORT_DISCONNECTED;
        return nullptr;
      }
      if (PIRP const irp = take_request(to)) return irp;
      ResetEvent(to.changed);
    }
    if (WaitForSingleObject(to.changed, limit.left()) == wait_timed_out) {
      status = STATUS_TIMEOUT;
      return nullptr;
    }
  }
}

NTSTATUS await_reply(connection& from, reply_wait& wait, const time_limit& limit, PULONG reply_bytes) {
  WaitForSingleObject(wait.done, limit.left());
  const locked held(ports_lock);
  from.replies.remove(&wait);
  if (wait.status == STATUS_PENDING) return STATUS_TIMEOUT;
  *reply_bytes = wait.bytes;
  return wait.status;
}

}  // namespace

std::list<std::shared_ptr<connection>>& connections() {
  static auto* const made = new std::list<std::shared_ptr<connection>>;
  return *made;
}

PIRP take_request(connection& from) {
  for (auto each = from.requests.begin(); each != from.requests.end(); ++each) {
    PIRP const irp = *each;
    if (IoSetCancelRoutine(irp, nullptr) == nullptr) continue;  // its cancel routine is on the way, and removes it
    from.requests.erase(each);
    return irp;
  }
  return nullptr;
}

void sever(connection& which) {
  std::list<PIRP> gone;
  {
    const locked held(ports_lock);
    which.closed = true;
    while (PIRP const irp = take_request(which)) gone.push_back(irp);
    for (reply_wait* each : which.replies) {
      each->status = STATUS_PORT_DISCONNECTED;
      SetEvent(each->done);
    }
    SetEvent(which.changed);
  }
  for (PIRP const irp : gone) complete(irp, STATUS_PORT_DISCONNECTED);
}

void notify_disconnect(const std::shared_ptr<connection>& which) {
  {
    const locked held(ports_lock);
    if (which->notified || !which->taken) return;
    which->notified = true;
  }
  which->server->disconnect(which->cookie);
  if (this_thread().irql != PASSIVE_LEVEL) report_violation("the disconnect callback returned at another IRQL");
  const locked held(ports_lock);
  if (!which->closed) report_violation("the disconnect callback left the client port open: the driver would never unload");
  --which->server->connections;
  connections().remove(which);
}

}  // namespace sluice::wine

using namespace sluice::wine;

extern "C" {

VOID NTAPI FltCloseClientPort(PFLT_FILTER, PFLT_PORT* port) {
  require_irql(APC_LEVEL, "FltCloseClientPort");
  const std::shared_ptr<connection> which = referenced(port);
  if (which == nullptr) return;
  {
    const locked held(ports_lock);
    *port = nullptr;
  }
  sever(*which);
}

NTSTATUS NTAPI FltSendMessage(PFLT_FILTER, PFLT_PORT* port, PVOID message, ULONG bytes, PVOID reply, PULONG reply_bytes,
                              PLARGE_INTEGER timeout) {
  require_irql(APC_LEVEL, "FltSendMessage");
  const std::shared_ptr<connection> to = referenced(port);
  if (to == nullptr) return STATUS_PORT_DISCONNECTED;
  const time_limit limit(timeout);
  NTSTATUS status = STATUS_SUCCESS;
  PIRP const irp = next_request(*to, limit, status);
  if (irp == nullptr) return status;
  const ULONG room = IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.OutputBufferLength;
  if (room < sizeof(message_header) + uint64_t{bytes}) {
    complete(irp, STATUS_BUFFER_TOO_SMALL);
    return STATUS_BUFFER_OVERFLOW;
  }
  reply_wait wait{0, static_cast<uint8_t*>(reply), reply != nullptr ? *reply_bytes : 0, 0, STATUS_PENDING, nullptr};
  {
    const locked held(ports_lock);
    wait.id = next_message_id++;
    if (reply != nullptr) {
      wait.done = CreateEventW(nullptr, TRUE, FALSE, nullptr);
      to->replies.push_back(&wait);
      if (to->closed) wait.status = STATUS_PORT_DISCONNECTED;
    }
  }
  const message_header header{reply != nullptr ? static_cast<uint32_t>(sizeof(reply_header)) + wait.room : 0, 0, wait.id};
  auto* const out = static_cast<uint8_t*>(irp->AssociatedIrp.SystemBuffer);
  std::memcpy(out, &header, sizeof header);
  std::memcpy(out + sizeof header, message, bytes);
  complete(irp, STATUS_SUCCESS, sizeof header + bytes);
  if (reply == nullptr) return STATUS_SUCCESS;
  const NTSTATUS answered = await_reply(*to, wait, limit, reply_bytes);
  CloseHandle(wait.done);
  return answered;
}

}  // extern "C"
