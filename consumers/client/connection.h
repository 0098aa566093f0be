// A source that is opened again when it is lost, if the client wants that.
//
// One thread reads; cancel and driver may be called from any other.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "consumers/client/open.h"

namespace sluice {

class connection {
 public:
  // Throws what open_source throws.
  explicit connection(client_options what);

  enum class outcome {
    batch,
    timeout,
    cancelled,
    away,      // lost, and not back in time
    restored,  // lost, and back: `opened` says to what
  };
  struct result {
    outcome what;
    size_t bytes = 0;
    uint64_t received_at = 0;  // the counter when the batch came
    opened_source opened{};
    std::string why{};  // the connection was lost
  };
  // Throws source_error: the connection is lost, and is not to be made again; or what is there now refuses this client for good.
  result read(std::span<uint8_t> buffer, client_timeout timeout);
  // Ends the read in hand, or the next one. Returns when there is none in hand.
  void cancel();

  const opened_source& first() const { return first_; }  // what was opened at the beginning
  // What answers requests now; throws source_error while there is nobody.
  std::shared_ptr<event_source> driver();

 private:
  using steady = std::chrono::steady_clock;
  result restore(std::unique_lock<std::mutex>& lock, std::span<uint8_t> buffer, steady::time_point limit);

  const client_options what_;  // `system` is set
  opened_source first_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<event_source> source_;  // null: lost
  std::string why_;                       // it was lost
  std::vector<uint8_t> waiting_;          // a batch that came when it was restored
  bool reading_ = false;
  bool cancelled_ = false;  // and nobody has been told yet
  std::chrono::milliseconds pause_{};  // before the next attempt
  steady::time_point next_attempt_{};
};

}  // namespace sluice
