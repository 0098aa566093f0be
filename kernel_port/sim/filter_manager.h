// The filter manager: filters without file-system callbacks, and their communication ports. One lock for all of it.
//
// A connection has two ends. The process' end is reached by filter_port_link (filter_port_client.h); the driver's end is
// the PFLT_PORT that its connect callback was given. A connection is severed once, by whichever end goes first: what waits
// on it is let go with STATUS_PORT_DISCONNECTED. The disconnect callback runs once, when the process' end has gone or the
// filter is unregistered; the connection is gone when the driver has closed its end too.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fltkernel.h>

#include "kernel_port/sim/device.h"
#include "kernel_port/sim/dispatcher.h"
#include "kernel_port/sim/filter_port_client.h"

struct _FLT_FILTER {
  sluice::sim::driver_record* driver;
  PFLT_FILTER_UNLOAD_CALLBACK unload;
  PFLT_INSTANCE_SETUP_CALLBACK instance_setup;
  bool started;
  uint32_t instances;     // volumes it stays attached to
  uint32_t server_ports;  // open ones
  uint32_t running;       // callbacks of its ports that run
  KEVENT idle;            // signalled when `running` becomes 0
};

struct _FLT_PORT {
  PFLT_FILTER filter;
  bool server;
};

namespace sluice::sim {

struct security_descriptor {
  const driver_record* driver;
  uint32_t owner;  // user id; besides it, root
  ACCESS_MASK access;
};

struct server_port {
  _FLT_PORT port{};
  std::u16string name;
  bool ignore_case = false;
  PVOID cookie = nullptr;
  PFLT_CONNECT_NOTIFY connect = nullptr;
  PFLT_DISCONNECT_NOTIFY disconnect = nullptr;
  PFLT_MESSAGE_NOTIFY message = nullptr;
  uint32_t limit = 0;
  uint32_t connections = 0;
  security_descriptor descriptor{};
};

// One call of FltSendMessage, on its thread's stack.
struct message_sender {
  const uint8_t* content;
  uint32_t length;
  uint8_t* reply;  // null: none is wanted
  uint32_t reply_room;
  uint64_t id = 0;
  uint32_t replied = 0;
  bool done = false;
  NTSTATUS status = STATUS_SUCCESS;
  KEVENT wake;
};

struct port_connection {
  _FLT_PORT port{};
  std::shared_ptr<server_port> server;
  PVOID cookie = nullptr;
  uint32_t pid = 0;
  bool accepted = false;       // the connect callback said yes
  bool severed = false;        // by either end
  bool notified = false;       // the disconnect callback was called, or is being called
  bool driver_closed = false;  // FltCloseClientPort
  std::deque<std::shared_ptr<pending_message::state>> getters;
  std::deque<message_sender*> senders;                  // nobody has taken their message yet
  std::map<uint64_t, message_sender*> awaiting_reply;
};

class filter_manager {
 public:
  explicit filter_manager(bool started) : started_(started) {}

  void start();

  // The driver's end: the Flt routines, once their IRQL was checked.
  NTSTATUS register_filter(PDRIVER_OBJECT driver, const FLT_REGISTRATION& registration, PFLT_FILTER* filter);
  NTSTATUS start_filtering(PFLT_FILTER filter);
  void unregister_filter(PFLT_FILTER filter);
  NTSTATUS build_descriptor(PSECURITY_DESCRIPTOR* descriptor, ACCESS_MASK access);
  void free_descriptor(PSECURITY_DESCRIPTOR descriptor);
  NTSTATUS create_port(PFLT_FILTER filter, PFLT_PORT* port, const OBJECT_ATTRIBUTES& attributes, server_port routines);
  void close_server_port(PFLT_PORT port);
  void close_client_port(PFLT_FILTER filter, PFLT_PORT* port);
  NTSTATUS send(PFLT_FILTER filter, PFLT_PORT* port, message_sender& sender, PLARGE_INTEGER timeout);

  // The process' end.
  NTSTATUS connect(const port_connect_request& request, std::shared_ptr<port_connection>& made);
  NTSTATUS get(port_connection& connection, const std::shared_ptr<pending_message::state>& message);
  void cancel(port_connection& connection, const std::shared_ptr<pending_message::state>& message);
  void cancel_begun(port_connection& connection, std::optional<uint64_t> key);
  NTSTATUS reply(port_connection& connection, std::span<const uint8_t> reply);
  NTSTATUS message(port_connection& connection, user_memory* in, uint32_t in_bytes, user_memory* out,
                   uint32_t out_bytes, uint64_t& written);
  void disconnect(const std::shared_ptr<port_connection>& connection);
  void process_exited(uint32_t pid);

  // The filter of the driver; null if it has none.
  PFLT_FILTER filter_of(const driver_record* driver);
  // What a driver has left; null text if nothing.
  struct left_behind {
    const void* what;
    const char* kind;
  };
  left_behind find_of(const driver_record* driver, bool any = false);
  uint64_t filter_count();
  uint64_t connection_count();
  uint64_t instance_count();

 private:
  class callback_scope;
  class section;

  _FLT_FILTER& known(PFLT_FILTER filter, const char* function);
  void sever(port_connection& connection, NTSTATUS getters);
  void notify_disconnect(const std::shared_ptr<port_connection>& connection);
  void forget_if_gone(port_connection& connection);
  void deliver(port_connection& connection, message_sender& sender,
               const std::shared_ptr<pending_message::state>& message);
  void wait_until_idle(_FLT_FILTER& filter);
  static void finish(message_sender& sender, NTSTATUS status);
  void finish(const std::shared_ptr<pending_message::state>& message, NTSTATUS status);

  internal_mutex mutex_;
  bool started_;
  uint64_t next_message_ = 1;
  std::vector<std::unique_ptr<_FLT_FILTER>> filters_;
  std::vector<std::shared_ptr<server_port>> servers_;           // open ones
  std::vector<std::shared_ptr<port_connection>> connections_;   // not gone
  std::vector<std::unique_ptr<security_descriptor>> descriptors_;
  std::vector<std::shared_ptr<pending_message::state>> finished_;  // in this section, and nobody waits for them
};

// The lock, where messages may come to their end: their answers go out after it.
class filter_manager::section {
 public:
  explicit section(filter_manager& filters) : filters_(filters), lock_(filters.mutex_) {}
  ~section();
  section(const section&) = delete;
  section& operator=(const section&) = delete;

 private:
  filter_manager& filters_;
  internal_lock lock_;
};

}  // namespace sluice::sim
