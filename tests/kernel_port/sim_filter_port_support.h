// A driver with a filter and a port, whose callbacks are the test's, and processes that connect to it.
#pragma once

#include "kernel_port/sim/filter_port_client.h"
#include "producers/user_memory.h"
#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {

struct port_driver {
  static inline PFLT_FILTER filter;
  static inline PFLT_PORT server;
  static inline PFLT_PORT client;      // of the last connection
  static inline std::vector<uint8_t> context;
  static inline std::atomic<uint32_t> disconnects;
  static inline LONG limit;
  static inline NTSTATUS connect_answer;
  static inline bool closes_client_port;
  static inline bool closes_server_port;
  static inline bool unregisters;
  static inline NTSTATUS setup_answer;
  static inline NTSTATUS unload_answer;
  static inline NTSTATUS created;  // by FltCreateCommunicationPort
  static inline FLT_REGISTRATION registration;
  static inline ULONG attributes;
  static inline bool with_descriptor;
  static inline std::function<NTSTATUS(PVOID, ULONG, PVOID, ULONG, PULONG)> on_message;

  static void reset() {
    filter = nullptr, server = nullptr, client = nullptr;
    context.clear();
    disconnects = 0;
    limit = 4;
    connect_answer = STATUS_SUCCESS;
    closes_client_port = closes_server_port = unregisters = with_descriptor = true;
    setup_answer = STATUS_FLT_DO_NOT_ATTACH;
    unload_answer = STATUS_SUCCESS;
    created = STATUS_UNSUCCESSFUL;
    attributes = OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE;
    on_message = nullptr;
    registration = {};
    registration.Size = FLT_REGISTRATION_SIZE_0200;
    registration.Version = FLT_REGISTRATION_VERSION_0200;
    registration.FilterUnloadCallback = unload;
    registration.InstanceSetupCallback = setup;
  }

  static NTSTATUS setup(PCFLT_RELATED_OBJECTS, FLT_INSTANCE_SETUP_FLAGS, DEVICE_TYPE, FLT_FILESYSTEM_TYPE) {
    return setup_answer;
  }
  static NTSTATUS connect(PFLT_PORT port, PVOID, PVOID bytes, ULONG size, PVOID*) {
    context.assign(static_cast<uint8_t*>(bytes), static_cast<uint8_t*>(bytes) + size);
    if (NT_SUCCESS(connect_answer)) client = port;
    return connect_answer;
  }
  static VOID disconnect(PVOID) {
    ++disconnects;
    if (closes_client_port) FltCloseClientPort(filter, &client);
  }
  static NTSTATUS message(PVOID, PVOID in, ULONG in_bytes, PVOID out, ULONG out_bytes, PULONG returned) {
    return on_message(in, in_bytes, out, out_bytes, returned);
  }
  static NTSTATUS unload(FLT_FILTER_UNLOAD_FLAGS) {
    if (!NT_SUCCESS(unload_answer)) return unload_answer;
    if (closes_server_port && server != nullptr) FltCloseCommunicationPort(server);
    if (unregisters) FltUnregisterFilter(filter);
    return STATUS_SUCCESS;
  }
  static NTSTATUS entry(PDRIVER_OBJECT driver, PUNICODE_STRING) {
    const NTSTATUS status = FltRegisterFilter(driver, &registration, &filter);
    if (!NT_SUCCESS(status)) return status;
    created = create_port();
    return FltStartFiltering(filter);
  }
  static NTSTATUS create_port() {
    PSECURITY_DESCRIPTOR descriptor = nullptr;
    FltBuildDefaultSecurityDescriptor(&descriptor, FLT_PORT_ALL_ACCESS);
    UNICODE_STRING name = unicode_literal(u"\\TestPort");
    OBJECT_ATTRIBUTES given;
    InitializeObjectAttributes(&given, &name, attributes, nullptr, with_descriptor ? descriptor : nullptr);
    const NTSTATUS status = FltCreateCommunicationPort(filter, &server, &given, nullptr, connect, disconnect,
                                                       on_message ? message : nullptr, limit);
    FltFreeSecurityDescriptor(descriptor);
    return status;
  }

  // From a thread of the machine. No timeout: for ever.
  static NTSTATUS send(std::string_view text, std::optional<LARGE_INTEGER> timeout = {}) {
    return FltSendMessage(filter, &client, const_cast<char*>(text.data()), static_cast<ULONG>(text.size()), nullptr,
                          nullptr, timeout ? &*timeout : nullptr);
  }
};

// A thread of the machine that sends. However the test ends: closing the port lets the thread go.
class sending_thread {
 public:
  template <class function>
  sending_thread(machine& system, filter_port& port, function send)
      : port_(port), thread_([&system, send] {
          const activity here(system, 1, 4, 40);
          send();
        }) {}
  ~sending_thread() {
    if (!thread_.joinable()) return;
    port_.close();
    thread_.join();
  }
  void join() { thread_.join(); }

 private:
  filter_port& port_;
  std::thread thread_;
};

struct filter_port_fixture : testing::Test {
  static constexpr uint32_t pid = 700;
  static constexpr std::chrono::seconds long_enough{60};

  explicit filter_port_fixture(const machine_options& options = {}) : system(options) { port_driver::reset(); }

  void load() { ASSERT_EQ(system.load_driver("ports", port_driver::entry), STATUS_SUCCESS); }
  void unload() { EXPECT_EQ(system.unload_driver("ports"), STATUS_SUCCESS); }
  NTSTATUS connect(filter_port& port, std::string_view context = "", uint32_t process = pid,
                   std::optional<uint32_t> user = {}) {
    return port.connect(system, u"\\TestPort",
                        {reinterpret_cast<const uint8_t*>(context.data()), context.size()}, process, user);
  }
  static void next_message(filter_port& port, std::vector<uint8_t>& message) {
    message.resize(64);
    uint64_t bytes = 0;
    ASSERT_EQ(port.get_message(message, bytes, long_enough), STATUS_SUCCESS);
    message.resize(bytes);
  }
  static std::string text_of(std::span<const uint8_t> message) {
    return {reinterpret_cast<const char*>(message.data()) + sizeof(filter_message_header),
            message.size() - sizeof(filter_message_header)};
  }
  static filter_message_header header_of(std::span<const uint8_t> message) {
    filter_message_header header;
    memcpy(&header, message.data(), sizeof header);
    return header;
  }

  machine system;
};

// With the driver loaded and its port there.
struct filter_port_test : filter_port_fixture {
  filter_port_test() {
    load();
    EXPECT_EQ(port_driver::created, STATUS_SUCCESS);
  }
  ~filter_port_test() override { unload(); }
};

}  // namespace sluice::sim
