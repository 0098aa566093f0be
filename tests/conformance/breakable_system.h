// A system whose handles can be lost, as when the process on the other side has gone: the handle is closed, and every call after
// that fails as it would then. Optionally what was on its way is lost with it.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "consumers/nt/system.h"
#include "kernel_port/driver/protocol.h"

namespace sluice::test {

class breakable_system : public nt_system {
 public:
  explicit breakable_system(std::shared_ptr<nt_system> behind) : behind_(std::move(behind)) {}

  // The next batch that comes is swallowed, and its handle lost.
  void lose_next_batch() { losing_ = true; }
  // From now on nothing can be opened; and again.
  void refuse(nt_status status) { refusal_ = status; }
  void accept() { refusal_ = nt::success; }
  uint32_t refused() const { return refused_; }

  nt_status open_device(std::u16string_view name, std::unique_ptr<nt_device>& made) override {
    if (refusal_ != nt::success) {
      ++refused_;
      return refusal_;
    }
    std::unique_ptr<nt_device> device;
    const nt_status status = behind_->open_device(name, device);
    if (succeeded(status)) made = std::make_unique<breakable_device>(*this, std::move(device));
    return status;
  }
  nt_status connect_port(std::u16string_view name, std::span<const uint8_t> context, std::unique_ptr<nt_port>& made) override {
    if (refusal_ != nt::success) {
      ++refused_;
      return refusal_;
    }
    std::unique_ptr<nt_port> port;
    const nt_status status = behind_->connect_port(name, context, port);
    if (succeeded(status)) made = std::make_unique<breakable_port>(*this, std::move(port));
    return status;
  }
  uint64_t counter() override { return behind_->counter(); }

 private:
  class breakable_device : public nt_device {
   public:
    breakable_device(breakable_system& of, std::unique_ptr<nt_device> behind) : of_(of), behind_(std::move(behind)) {}
    nt_status read(std::span<uint8_t> buffer, uint64_t& bytes, nt_timeout timeout) override {
      if (lost_) return nt::device_removed;
      return of_.after_read(behind_->read(buffer, bytes, timeout), lost_, nt::device_removed);
    }
    nt_status control(uint32_t code, std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes,
                      nt_timeout timeout) override {
      if (lost_) return nt::device_removed;
      // A mapped client reads by itself: it finds out when it goes to sleep.
      if (code == protocol::code_wait && of_.losing_.exchange(false)) {
        lost_ = true;
        return nt::device_removed;
      }
      return behind_->control(code, in, out, bytes, timeout);
    }
    void cancel() override { behind_->cancel(); }

   private:
    breakable_system& of_;
    std::unique_ptr<nt_device> behind_;
    std::atomic<bool> lost_{false};
  };
  class breakable_port : public nt_port {
   public:
    breakable_port(breakable_system& of, std::unique_ptr<nt_port> behind) : of_(of), behind_(std::move(behind)) {}
    nt_status get_message(std::span<uint8_t> buffer, uint64_t& bytes, nt_timeout timeout) override {
      if (lost_) return nt::port_disconnected;
      return of_.after_read(behind_->get_message(buffer, bytes, timeout), lost_, nt::port_disconnected);
    }
    nt_status reply(std::span<const uint8_t> reply) override { return lost_ ? nt::port_disconnected : behind_->reply(reply); }
    nt_status send(std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes) override {
      return lost_ ? nt::port_disconnected : behind_->send(in, out, bytes);
    }
    void cancel() override { behind_->cancel(); }

   private:
    breakable_system& of_;
    std::unique_ptr<nt_port> behind_;
    std::atomic<bool> lost_{false};
  };

  nt_status after_read(nt_status status, std::atomic<bool>& lost, nt_status failure) {
    if (status != nt::success || !losing_.exchange(false)) return status;
    lost = true;
    return failure;
  }

  const std::shared_ptr<nt_system> behind_;
  std::atomic<bool> losing_{false};
  std::atomic<nt_status> refusal_{nt::success};
  std::atomic<uint32_t> refused_{0};
};

}  // namespace sluice::test
