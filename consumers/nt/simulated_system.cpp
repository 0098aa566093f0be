#include "consumers/nt/simulated_system.h"

#include <fltkernel.h>

#include <algorithm>
#include <list>
#include <mutex>

#include "kernel_port/sim/filter_port_client.h"

namespace sluice {
namespace {

static_assert(nt::timeout == STATUS_TIMEOUT && nt::pending == STATUS_PENDING && nt::cancelled == STATUS_CANCELLED &&
              nt::buffer_overflow == STATUS_BUFFER_OVERFLOW && nt::invalid_handle == STATUS_INVALID_HANDLE &&
              nt::invalid_parameter == STATUS_INVALID_PARAMETER && nt::access_denied == STATUS_ACCESS_DENIED &&
              nt::invalid_device_request == STATUS_INVALID_DEVICE_REQUEST &&
              nt::buffer_too_small == STATUS_BUFFER_TOO_SMALL && nt::port_disconnected == STATUS_PORT_DISCONNECTED &&
              nt::object_name_not_found == STATUS_OBJECT_NAME_NOT_FOUND &&
              nt::sharing_violation == STATUS_SHARING_VIOLATION && nt::revision_mismatch == STATUS_REVISION_MISMATCH &&
              nt::insufficient_resources == STATUS_INSUFFICIENT_RESOURCES && nt::not_supported == STATUS_NOT_SUPPORTED &&
              nt::not_found == STATUS_NOT_FOUND && nt::connection_count_limit == STATUS_CONNECTION_COUNT_LIMIT);

class simulated_device : public nt_device {
 public:
  explicit simulated_device(sim::file file) : file_(std::move(file)) {}

  nt_status read(std::span<uint8_t> buffer, uint64_t& bytes, nt_timeout timeout) override {
    return file_.read(buffer, bytes, timeout);
  }
  nt_status control(uint32_t code, std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes,
                    nt_timeout timeout) override {
    return file_.control(code, in, out, bytes, timeout);
  }
  void cancel() override { file_.cancel(); }

 private:
  sim::file file_;
};

class simulated_port : public nt_port {
 public:
  nt_status connect(sim::machine& machine, std::u16string_view name, std::span<const uint8_t> context, uint32_t pid) {
    return port_.connect(machine, name, context, pid);
  }

  nt_status get_message(std::span<uint8_t> buffer, uint64_t& bytes, nt_timeout timeout) override {
    bytes = 0;
    std::list<sim::pending_message>::iterator mine;
    nt_status status;
    {
      const std::lock_guard lock(mutex_);
      mine = pending_.emplace(pending_.end());
      status = port_.begin_get(buffer.size(), *mine);
    }
    bool timed_out = false;
    if (status == STATUS_PENDING) {
      status = mine->wait(timeout);
      if (status == STATUS_TIMEOUT) {
        timed_out = true;
        port_.cancel(*mine);
        status = mine->wait();  // a message that came meanwhile is not lost
      }
    }
    if (status == STATUS_SUCCESS) {
      const std::span<const uint8_t> message = mine->message();
      std::copy(message.begin(), message.end(), buffer.begin());
      bytes = message.size();
    }
    const std::lock_guard lock(mutex_);
    pending_.erase(mine);
    return timed_out && status == STATUS_CANCELLED ? STATUS_TIMEOUT : status;
  }
  nt_status reply(std::span<const uint8_t> reply) override { return port_.reply(reply); }
  nt_status send(std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes) override {
    return port_.send(in, out, bytes);
  }
  void cancel() override {
    const std::lock_guard lock(mutex_);
    for (sim::pending_message& each : pending_) port_.cancel(each);
  }

 private:
  sim::filter_port port_;
  std::mutex mutex_;
  std::list<sim::pending_message> pending_;
};

class in_process : public nt_system {
 public:
  in_process(sim::machine& machine, uint32_t pid) : machine_(machine), pid_(pid) {}

  nt_status open_device(std::u16string_view name, std::unique_ptr<nt_device>& opened) override {
    sim::file file;
    const nt_status status = file.open(machine_, name, pid_);
    if (succeeded(status)) opened = std::make_unique<simulated_device>(std::move(file));
    return status;
  }
  nt_status connect_port(std::u16string_view name, std::span<const uint8_t> context,
                         std::unique_ptr<nt_port>& connected) override {
    auto port = std::make_unique<simulated_port>();
    const nt_status status = port->connect(machine_, name, context, pid_);
    if (succeeded(status)) connected = std::move(port);
    return status;
  }
  uint64_t counter() override { return static_cast<uint64_t>(KeQueryPerformanceCounter(nullptr).QuadPart); }

 private:
  sim::machine& machine_;
  const uint32_t pid_;
};

}  // namespace

std::shared_ptr<nt_system> simulated_system(sim::machine& machine, uint32_t pid) {
  return std::make_shared<in_process>(machine, pid);
}

}  // namespace sluice
