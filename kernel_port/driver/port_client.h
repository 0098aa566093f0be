// A client on the port: its stream, and the system thread that sends it.
//
// The thread takes one batch after another and waits in FltSendMessage until the client has taken it. A batch that was not taken
// in time, or that the client's buffer was too short for, is sent again: what is lost, is lost at the other end of the queue.
#pragma once

#include "kernel_port/driver/distribution.h"
#include "kernel_port/driver/message_limit.h"
#include "kernel_port/driver/system_thread.h"

namespace sluice {

class port_client {
 public:
  port_client(distribution& clients, PFLT_FILTER filter) : clients_(clients), filter_(filter) {}
  port_client(const port_client&) = delete;
  port_client& operator=(const port_client&) = delete;

  // PASSIVE_LEVEL, in the connect callback. On failure nothing is left.
  [[nodiscard]] SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS start(const kernel_functions& functions, PFLT_PORT port, const client_stream::wishes& what,
                               uint64_t boot, uint64_t frequency);
  // PASSIVE_LEVEL, in the disconnect callback. Closes the driver's end, and returns when the thread has ended.
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  void stop();

  client_stream& stream() { return stream_; }
  message_limit& messages() { return messages_; }

 private:
  _IRQL_requires_(PASSIVE_LEVEL)
  static VOID NTAPI run(PVOID context);
  _IRQL_requires_(PASSIVE_LEVEL)
  void loop();
  _IRQL_requires_(PASSIVE_LEVEL)
  bool send(const client_stream::batch& batch);
  _IRQL_requires_(PASSIVE_LEVEL)
  void end_thread();

  distribution& clients_;
  PFLT_FILTER const filter_;
  PFLT_PORT port_ = nullptr;  // FltCloseClientPort makes it null while the thread may be in FltSendMessage: it allows that
  client_stream stream_;
  message_limit messages_{message_limit::of_client};
  system_thread thread_;
  KEVENT ready_{};
  LONG stopping_ = 0;
};

}  // namespace sluice
