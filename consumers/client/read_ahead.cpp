#include "consumers/client/read_ahead.h"

#include <utility>

namespace sluice {

read_ahead::read_ahead(connection& from, size_t buffer_bytes)
    : from_(from), buffer_bytes_(buffer_bytes), thread_([this] { run(); }) {}

read_ahead::~read_ahead() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  from_.cancel();
  thread_.join();
}

void read_ahead::run() {
  for (;;) {
    piece next{{connection::outcome::timeout}, {}};
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || pieces_.size() < most; });
      if (stopping_) return;
      if (!spare_.empty()) {
        next.bytes = std::move(spare_.back());
        spare_.pop_back();
      }
    }
    std::exception_ptr error;
    try {
      next.bytes.resize(buffer_bytes_);
      next.result = from_.read(next.bytes, {});
    } catch (...) {
      error = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    if (error != nullptr) {
      error_ = error;
    } else if (next.result.what == connection::outcome::batch || next.result.what == connection::outcome::restored) {
      pieces_.push_back(std::move(next));
    } else {
      spare_.push_back(std::move(next.bytes));
      continue;  // cancelled, to stop
    }
    ready_.show(true);
    changed_.notify_all();
    if (error != nullptr) return;
  }
}

connection::result read_ahead::take(std::vector<uint8_t>& buffer, client_timeout timeout) {
  std::unique_lock lock(mutex_);
  const auto there_is = [this] { return !pieces_.empty() || error_ != nullptr || cancelled_; };
  if (!timeout) {
    changed_.wait(lock, there_is);
  } else if (timeout->count() <= 0 || timeout > std::chrono::hours(24 * 365)) {
    if (timeout->count() > 0) changed_.wait(lock, there_is);
  } else {
    changed_.wait_for(lock, *timeout, there_is);
  }
  if (std::exchange(cancelled_, false)) return {connection::outcome::cancelled};
  if (pieces_.empty()) {
    if (error_ != nullptr) std::rethrow_exception(error_);
    return {connection::outcome::timeout};
  }
  piece first = std::move(pieces_.front());
  pieces_.pop_front();
  if (pieces_.empty() && error_ == nullptr) ready_.show(false);
  spare_.push_back(std::move(buffer));
  buffer = std::move(first.bytes);
  changed_.notify_all();
  return std::move(first.result);
}

void read_ahead::cancel() {
  const std::lock_guard lock(mutex_);
  cancelled_ = true;
  changed_.notify_all();
}

}  // namespace sluice
