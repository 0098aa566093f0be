// Reads a connection in a thread of its own, a few batches ahead, and shows by a descriptor that there is something to take.
//
// The descriptor is an eventfd, on Windows an event: ready while there is, and for ever once the connection has failed. One thread takes; cancel
// may be called from any other.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "consumers/client/connection.h"
#include "consumers/os/readiness.h"

namespace sluice {

class read_ahead {
 public:
  // Throws std::system_error: no descriptor or no thread.
  read_ahead(connection& from, size_t buffer_bytes);
  ~read_ahead();
  read_ahead(const read_ahead&) = delete;
  read_ahead& operator=(const read_ahead&) = delete;

  wait_handle descriptor() const { return ready_.handle(); }
  // As connection::read; the batch is in `buffer`, whose former memory is read into next.
  connection::result take(std::vector<uint8_t>& buffer, client_timeout timeout);
  void cancel();

 private:
  static constexpr size_t most = 4;
  struct piece {
    connection::result result;
    std::vector<uint8_t> bytes;
  };

  void run();

  connection& from_;
  const size_t buffer_bytes_;
  os::readiness ready_;  // shown with the lock held
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<piece> pieces_;
  std::vector<std::vector<uint8_t>> spare_;
  std::exception_ptr error_;  // behind the last piece
  bool stopping_ = false;
  bool cancelled_ = false;
  std::thread thread_;
};

}  // namespace sluice
