// The simulated machine, but what the driver answers is changed on its way: a driver of another version, or one that lies.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#include "consumers/nt/system.h"
#include "kernel_port/driver/protocol.h"

namespace sluice::test {

// The code of a request (0: a message of the port), its answer and its status; may change both. One that has become longer than the
// caller's buffer is cut, and claims its length.
using forgery = std::function<void(uint32_t code, std::vector<uint8_t>& answer, nt_status& status)>;

inline nt_status forge(const forgery& change, uint32_t code, std::span<uint8_t> out, uint64_t& bytes, nt_status status) {
  std::vector<uint8_t> answer(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(std::min<uint64_t>(bytes, out.size())));
  change(code, answer, status);
  std::copy_n(answer.begin(), std::min(answer.size(), out.size()), out.begin());
  bytes = answer.size();
  return status;
}

class forging_device : public nt_device {
 public:
  forging_device(std::unique_ptr<nt_device> to, const forgery& change) : to_(std::move(to)), change_(change) {}
  nt_status read(std::span<uint8_t> buffer, uint64_t& bytes, nt_timeout timeout) override { return to_->read(buffer, bytes, timeout); }
  nt_status control(uint32_t code, std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes, nt_timeout timeout) override {
    const nt_status status = to_->control(code, in, out, bytes, timeout);
    return forge(change_, code, out, bytes, status);
  }
  void cancel() override { to_->cancel(); }

 private:
  std::unique_ptr<nt_device> to_;
  const forgery& change_;
};

class forging_port : public nt_port {
 public:
  forging_port(std::unique_ptr<nt_port> to, const forgery& change) : to_(std::move(to)), change_(change) {}
  nt_status get_message(std::span<uint8_t> buffer, uint64_t& bytes, nt_timeout timeout) override {
    const nt_status status = to_->get_message(buffer, bytes, timeout);
    return status == nt::success ? forge(change_, 0, buffer, bytes, status) : status;
  }
  nt_status reply(std::span<const uint8_t> reply) override { return to_->reply(reply); }
  nt_status send(std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes) override {
    const nt_status status = to_->send(in, out, bytes);
    protocol::port_message header{};
    std::memcpy(&header, in.data(), std::min(in.size(), sizeof header));
    return forge(change_, header.code, out, bytes, status);
  }
  void cancel() override { to_->cancel(); }

 private:
  std::unique_ptr<nt_port> to_;
  const forgery& change_;
};

class forging_system : public nt_system {
 public:
  explicit forging_system(std::shared_ptr<nt_system> to) : to_(std::move(to)) {}

  forgery change = [](uint32_t, std::vector<uint8_t>&, nt_status&) {};
  nt_status connection = nt::success;  // another: what connect_port gives

  nt_status open_device(std::u16string_view name, std::unique_ptr<nt_device>& opened) override {
    std::unique_ptr<nt_device> real;
    const nt_status status = to_->open_device(name, real);
    if (real) opened = std::make_unique<forging_device>(std::move(real), change);
    return status;
  }
  nt_status connect_port(std::u16string_view name, std::span<const uint8_t> context, std::unique_ptr<nt_port>& connected) override {
    if (!succeeded(connection)) return connection;
    std::unique_ptr<nt_port> real;
    const nt_status status = to_->connect_port(name, context, real);
    if (real) connected = std::make_unique<forging_port>(std::move(real), change);
    return status;
  }
  uint64_t counter() override { return to_->counter(); }

 private:
  std::shared_ptr<nt_system> to_;
};

}  // namespace sluice::test
