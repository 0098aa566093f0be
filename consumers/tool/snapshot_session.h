// A session whose driver's rings are written to a file when somebody asks (SIGUSR1), and when its activity has ended. A thread
// of its own does it: the watch goes on reading meanwhile. What cannot be written is told, and nothing ends because of it.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "consumers/tool/session.h"
#include "consumers/tool/snapshot_signal.h"

namespace sluice::tool {

class snapshot_session : public surrounding_session {
 public:
  // Throws if there is a file `path` already, or none can be made there.
  snapshot_session(session& watched, const std::string& path, const snapshot_signal& asked);
  ~snapshot_session() override;
  snapshot_session(const snapshot_session&) = delete;
  snapshot_session& operator=(const snapshot_session&) = delete;

  std::string title() override;
  void start() override;
  void stop() override;
  std::vector<std::string> take_news() override;
  bool output_failed() override { return failed_.load() || watched_.output_failed(); }

 private:
  void run();
  void write_one();
  void tell(std::string line);
  void end_thread();

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
