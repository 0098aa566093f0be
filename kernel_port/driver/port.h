// The filter communication port \SluicePort: who connects, and what they ask.
//
// The driver is a filter without file-system callbacks, which attaches to no volume: the filter manager gives ports to filters
// only. Where it does not (no Instances in the service's key), the driver does without, and says why (protocol::clients_header).
// At boot the filter manager may start after the driver: then a thread tries again, 100 ms later and ever more rarely, up to
// every 10 s, until it is there.
//
// A client's cookie is a slot, which stays: a message that is on its way while its client is disconnected finds out by the slot's
// rundown, and not in freed memory.
//
// Parameters\Port = 0: no filter and no port, and no function of the filter manager is called. For kernels without one.
//
// One port per driver image: the filter manager's unload callback has no context.
#pragma once

#include "kernel_port/driver/port_client.h"
#include "kernel_port/driver/worker.h"
#include "producers/rundown.h"

namespace sluice {

class port {
 public:
  // What the port is for. Both at PASSIVE_LEVEL, in a client's process, from several at a time.
  struct owner {
    void* context;
    // The one handler of control requests; `buffer` is the system's, in and out, as METHOD_BUFFERED has it.
    NTSTATUS (*control)(void* context, uint32_t code, void* buffer, uint32_t in, uint32_t out, uint32_t& written,
                        client_stream* from);
    void (*attached)(void* context);  // there is a client
  };

  port() = default;
  ~port() { stop(); }
  port(const port&) = delete;
  port& operator=(const port&) = delete;

  // PASSIVE_LEVEL, in DriverEntry, when everything else stands. There may be no port afterwards: status(). Without start there is
  // none, and STATUS_NOT_SUPPORTED says why.
  SLUICE_INIT_CODE _IRQL_requires_(PASSIVE_LEVEL)
  void start(PDRIVER_OBJECT driver, const kernel_functions& functions, channel& events, worker& from, const owner& whose);
  // PASSIVE_LEVEL. Disconnects the clients; returns when no callback and no thread of the port is left. May be called again.
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  void stop();

  // Any IRQL. STATUS_SUCCESS: clients can connect.
  NTSTATUS status() { return InterlockedCompareExchange(&status_, 0, 0); }

 private:
  struct slot {
    port* owner = nullptr;
    rundown messages;  // of the client; ended while there is none
    LONG taken = 0;
    port_client* client = nullptr;
  };

  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS bring_up();
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS create_port();
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  void take_down();
  _IRQL_requires_(PASSIVE_LEVEL)
  static VOID NTAPI run(PVOID context);
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  void wait_for_filter_manager();

  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  static NTSTATUS NTAPI on_instance_setup(PCFLT_RELATED_OBJECTS objects, FLT_INSTANCE_SETUP_FLAGS flags,
                                          DEVICE_TYPE device, FLT_FILESYSTEM_TYPE filesystem);
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  static NTSTATUS NTAPI on_unload(FLT_FILTER_UNLOAD_FLAGS flags);
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  static NTSTATUS NTAPI on_connect(PFLT_PORT client_port, PVOID self, PVOID context, ULONG context_bytes, PVOID* cookie);
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  static VOID NTAPI on_disconnect(PVOID cookie);
  _IRQL_requires_(PASSIVE_LEVEL)
  static NTSTATUS NTAPI on_message(PVOID cookie, PVOID in, ULONG in_bytes, PVOID out, ULONG out_bytes, PULONG returned);

  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS connect(PFLT_PORT client_port, const client_stream::wishes& what, PVOID* cookie);
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS admit(PFLT_PORT client_port, const client_stream::wishes& what, port_client*& made);
  _IRQL_requires_(PASSIVE_LEVEL)
  slot* take_slot();
  _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS control(port_client& from, PVOID in_untrusted, uint32_t in_bytes, PVOID out_untrusted, uint32_t out_bytes,
                   uint32_t& written);

  PDRIVER_OBJECT driver_ = nullptr;
  const kernel_functions* functions_ = nullptr;
  channel* channel_ = nullptr;
  worker* worker_ = nullptr;
  owner owner_{};
  LONG status_ = STATUS_NOT_SUPPORTED;
  PFLT_FILTER filter_ = nullptr;
  PFLT_PORT server_ = nullptr;
  system_thread thread_;
  KEVENT stopping_{};
  slot slots_[protocol::max_port_clients];
  message_limit messages_{message_limit::of_all};
};

}  // namespace sluice
