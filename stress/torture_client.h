// A client of the torture: a thread that reads through the client library, by one transport, and checks every record that it is given
// and, when everything rests, its whole account against the driver's.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "consumers/client/client.h"
#include "kernel_port/sim/machine.h"
#include "stress/event.h"
#include "stress/random.h"

namespace sluice::stress {

struct torture_plan {
  transport by = transport::port;
  uint32_t pid = 0;
  uint64_t types = ~uint64_t{0};
  bool slow = false;        // sleeps between batches
  bool own_filter = false;  // and takes it back, and sets it, while it reads
  // The clock steps (pipeline/epoch.h), or stands while lanes change: an activity's events on several CPUs can come in another order.
  bool clock_steps = false;
  bool since_load = false;  // it is the first one since the driver was loaded, so it has everything
  uint64_t seed = 0;
};

class torture_client {
 public:
  // `own_type`: of own events. `from` outlives it.
  torture_client(sim::machine& machine, const torture_plan& plan, uint32_t activities, uint16_t own_type, const filler& from);
  const torture_plan& plan() const { return plan_; }
  ~torture_client();  // closed in the middle of whatever it does
  torture_client(const torture_client&) = delete;
  torture_client& operator=(const torture_client&) = delete;

  // False: the driver has refused it, and this client is none.
  bool connected() const { return client_ != nullptr; }
  // Waits for its first read to end: who reads the device is a consumer from then on.
  void wait_for_read() const { has_read_.wait(false); }
  // While nothing happens on the machine: it reads until nothing is left, and nothing may contradict the driver's account.
  void settle();
  void cancel() { client_->cancel(); }

  uint64_t records() const { return records_.load(std::memory_order_relaxed); }
  uint64_t missed() const { return missed_.load(std::memory_order_relaxed); }

 private:
  enum class order { read, settle, end };

  void run();
  void take_batch(client_timeout timeout);
  void meddle();
  void read_to_the_end();
  void check(const delivered_record& record);
  void check_image(const delivered_record& record);
  void check_own(const delivered_record& record);

  // What an activity numbers: each number once, and rising.
  struct numbered {
    uint64_t next = 0, time = 0;
    std::vector<bool> seen;
  };
  struct activity_state {
    numbered images, own;
  };
  void check_number(const char* what, const delivered_record& record, uint64_t index, uint64_t number, numbered& so_far);

  const torture_plan plan_;
  const uint16_t own_type_;
  const filler& from_;
  random_source random_;
  std::unique_ptr<client> client_;
  std::vector<activity_state> activities_;
  std::atomic<uint64_t> records_{0}, missed_{0};
  std::atomic<bool> has_read_{false};
  std::atomic<order> order_{order::read};
  std::thread thread_;
};

}  // namespace sluice::stress
