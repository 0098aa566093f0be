// Communication ports: the driver's side is the filter manager's functions (filter_manager.cpp, port.cpp), the client's the bridge
// device (bridge.cpp). What they share is here.
//
//   P1  a connection is closed once, by whichever side comes first; nothing is delivered to it afterwards
//   P2  the disconnect callback comes once for each connection that the connect callback took
//   P3  a message goes to one request of the client, or the sender learns why not
#pragma once

#include <list>
#include <memory>
#include <string>

#include "kernel_port/wine/injection.h"
#include "kernel_port/wine/port_wire.h"
#include "kernel_port/wine/rules.h"

struct _FLT_FILTER {
  PDRIVER_OBJECT driver;
  FLT_REGISTRATION registration;
  bool started;
};

struct _FLT_PORT {
  explicit _FLT_PORT(bool of_server) : is_server(of_server) {}
  const bool is_server;
};

namespace sluice::wine {

struct server_port : _FLT_PORT {
  server_port() : _FLT_PORT(true) {}
  PFLT_FILTER filter = nullptr;
  std::u16string name;
  PVOID cookie = nullptr;
  PFLT_CONNECT_NOTIFY connect = nullptr;
  PFLT_DISCONNECT_NOTIFY disconnect = nullptr;
  PFLT_MESSAGE_NOTIFY message = nullptr;
  LONG limit = 0;
  LONG connections = 0;
  bool open = true;
};

// A sender that waits for the client's answer.
struct reply_wait {
  uint64_t id;
  uint8_t* buffer;
  uint32_t room;
  uint32_t bytes = 0;
  NTSTATUS status = STATUS_PENDING;
  HANDLE done;
};

struct connection : _FLT_PORT {
  connection() : _FLT_PORT(false), changed(CreateEventW(nullptr, TRUE, FALSE, nullptr)) {}
  ~connection() { CloseHandle(changed); }
  std::shared_ptr<server_port> server;
  PVOID cookie = nullptr;
  HANDLE process = nullptr;  // of the client
  const HANDLE changed;      // set: a request waits, or the connection is closed
  // With ports_lock held:
  bool taken = false;        // by the connect callback
  bool closed = false;
  bool notified = false;
  std::list<PIRP> requests;
  std::list<reply_wait*> replies;
};

extern lock ports_lock;
// With the lock held. Null: none of that name, or its driver has closed it.
std::shared_ptr<server_port> find_server(std::u16string_view name);
// With the lock held: the oldest request that is not being cancelled.
PIRP take_request(connection& from);
// Ends it for both sides: requests and senders are let go. Any side; again: nothing.
void sever(connection& which);
// The bridge's handle has gone, or the filter: tells the driver once.
void notify_disconnect(const std::shared_ptr<connection>& which);

std::list<std::shared_ptr<connection>>& connections();

void add_port_counters(injection_counters& to);

}  // namespace sluice::wine
