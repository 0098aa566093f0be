// A session whose driver's rings are written to a file when somebody asks (SIGUSR1), and when its activity has ended. A thread
// of its own does it: the watch goes on reading meanwhile. What cannot be written is told, and nothing ends because of it.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "consumers/tool/session.h"
#include "consumers/tool/snapshot_signal.h"

namespace sluice::tool {

class snapshot_session : public session {
 public:
  // Throws if there is a file `path` already, or none can be made there.
  snapshot_session(std::unique_ptr<session> watched, const std::string& path, const snapshot_signal& asked);
  ~snapshot_session() override;
  snapshot_session(const snapshot_session&) = delete;
  snapshot_session& operator=(const snapshot_session&) = delete;

  event_source& source() override { return watched_->source(); }
  std::string title() override;
  void start() override;
  void stop() override;
  std::optional<std::string> failure() override { return watched_->failure(); }
  std::optional<raised_callbacks> raised() override { return watched_->raised(); }
  std::vector<std::string> notes() override { return watched_->notes(); }
  bool finished() override { return watched_->finished(); }
  std::string progress() override { return watched_->progress(); }
  void received(uint64_t records) override { watched_->received(records); }
  std::vector<std::string> take_faults() override { return watched_->take_faults(); }
  std::vector<std::string> take_news() override;
  bool output_failed() override { return failed_.load(); }
  std::optional<std::string> incomparable() override { return watched_->incomparable(); }
  void concluded(const driver_statistics* statistics, const raised_callbacks* raised) override {
    watched_->concluded(statistics, raised);
  }

 private:
  void run();
  void write_one();
  void tell(std::string line);
  void end_thread();

  std::unique_ptr<session> watched_;
  std::string path_;
  const snapshot_signal& asked_;
  int end_ = -1;  // eventfd
  std::atomic<bool> wants_last_{false};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::vector<std::string> news_;
  std::thread thread_;
};

}  // namespace sluice::tool
