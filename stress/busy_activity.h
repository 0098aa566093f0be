// A thread of the machine on which things happen: images, processes and threads that come and go, registry values, own events.
#pragma once

#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "kernel_port/driver/sensor.h"
#include "stress/driver_client.h"
#include "stress/gate.h"
#include "stress/options.h"
#include "stress/random.h"

namespace sluice::stress {

// The loaded driver, for threads that write own events: a driver waits for its own writers before it destroys its sensor.
class lent_sensor {
 public:
  void give(sensor* to_lend, uint16_t own_type) {
    const std::unique_lock lock(mutex_);
    sensor_ = to_lend;
    own_type_ = own_type;
  }
  // Nobody uses it any more when this returns.
  void take_back() { give(nullptr, 0); }

  // Calls `use(sensor, own type)` if there is one.
  template <class user>
  void lend(user&& use) {
    const std::shared_lock lock(mutex_);
    if (sensor_ != nullptr) use(*sensor_, own_type_);
  }

 private:
  std::shared_mutex mutex_;  // readers do not order each other: ThreadSanitizer sees what the ring orders itself
  sensor* sensor_ = nullptr;
  uint16_t own_type_ = 0;
};

// What the activities of a run share.
struct busy_world {
  sim::machine& machine;
  const stress_options& options;
  filler from{4096};
  lent_sensor driver;
  gate parks;                        // where an activity can be made to rest, in the middle of nothing
  std::atomic<bool> stop{false};     // the gate open
  std::atomic<uint64_t> raised{0};   // events, all kinds
};

class busy_activity {
 public:
  busy_activity(busy_world& world, uint32_t index)
      : world_(world), index_(index), random_(world.options.seed * 31 + index) {}

  void start() {
    thread_ = std::thread([this] { run(); });
  }
  void join() { thread_.join(); }
  uint32_t tid() const { return first_activity_tid + index_; }
  bool is_attached() const { return attached_.load(); }

  // For who has it parked or joined.
  uint64_t own_attempted() const { return own_attempted_; }
  uint64_t own_kept() const { return own_kept_; }
  uint64_t own_discarded() const { return own_discarded_; }
  uint64_t images() const { return images_; }

 private:
  void run();
  void load_image();
  void live_and_die();
  void set_value();
  void come_and_go();
  void own_event(bool reserved);

  busy_world& world_;
  uint32_t index_;
  random_source random_;
  uint64_t images_ = 0, lives_ = 0, own_attempted_ = 0, own_kept_ = 0, own_discarded_ = 0;
  uint32_t values_ = 0;
  std::atomic<bool> attached_{false};
  uint8_t buffer_[512];
  std::thread thread_;
};

}  // namespace sluice::stress
