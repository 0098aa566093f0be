#include "consumers/client/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds first_pause{20};
constexpr milliseconds longest_pause{2000};
constexpr std::chrono::hours for_ever{24 * 365 * 10};  // of a wait: clocks can still be added to

std::chrono::nanoseconds length_of(client_timeout timeout) {
  return std::clamp<std::chrono::nanoseconds>(timeout.value_or(for_ever), std::chrono::nanoseconds(0), for_ever);
}

// Trying again does not help: it is this client that is not wanted.
bool is_final(nt_status status) {
  return status == nt::revision_mismatch || status == nt::access_denied || status == nt::invalid_parameter ||
         status == nt::buffer_too_small || status == nt::not_supported;
}

}  // namespace

connection::connection(client_options what)
    : what_([&] {
        what.system = reach_system(what);
        return std::move(what);
      }()),
      first_(open_source(what_)),
      source_(first_.source) {
  first_.source.reset();  // it may be lost later
}

std::shared_ptr<event_source> connection::driver() {
  const std::lock_guard lock(mutex_);
  if (source_ == nullptr) throw source_error("the connection is lost: " + why_);
  return source_;
}

connection::result connection::read(std::span<uint8_t> buffer, client_timeout timeout) {
  const auto limit = steady::now() + length_of(timeout);
  std::unique_lock lock(mutex_);
  if (std::exchange(cancelled_, false)) return {outcome::cancelled};
  if (source_ == nullptr) return restore(lock, buffer, limit);
  if (!waiting_.empty()) {
    const size_t bytes = std::min(waiting_.size(), buffer.size());
    std::copy_n(waiting_.begin(), bytes, buffer.begin());
    waiting_.clear();
    return {outcome::batch, bytes, source_->now()};
  }
  std::shared_ptr<event_source> source = source_;
  reading_ = true;
  lock.unlock();
  read_result got{read_status::cancelled, 0};
  std::string lost;
  std::exception_ptr error;
  uint64_t received_at = 0;
  try {
    got = source->read(buffer, length_of(timeout));
    if (got.status == read_status::batch) received_at = source->now();
  } catch (const nt_error& failure) {
    if (!what_.reconnects || is_final(failure.status())) error = std::current_exception();
    lost = failure.what();
  } catch (...) {
    error = std::current_exception();
  }
  lock.lock();
  reading_ = false;
  changed_.notify_all();
  if (error != nullptr) std::rethrow_exception(error);
  if (!lost.empty()) {
    why_ = lost;
    source_.reset();
    source.reset();  // its handle is closed before another one is opened
    pause_ = first_pause;
    next_attempt_ = steady::now();
    return restore(lock, buffer, limit);
  }
  switch (got.status) {
    case read_status::batch: return {outcome::batch, std::min(got.bytes, buffer.size()), received_at};
    case read_status::timeout: return {outcome::timeout};
    case read_status::cancelled: cancelled_ = false; return {outcome::cancelled};
    case read_status::end: break;
  }
  throw source_error("the stream has come to its end");
}

connection::result connection::restore(std::unique_lock<std::mutex>& lock, std::span<uint8_t> buffer, steady::time_point limit) {
  for (;;) {
    if (std::exchange(cancelled_, false)) return {outcome::cancelled};
    if (steady::now() >= next_attempt_) {
      lock.unlock();
      opened_source opened;
      std::vector<uint8_t> first;
      try {
        opened = open_source(what_);
        // It counts when it can be read: the former handle of the device may still be about to be closed.
        const read_result got = opened.source->read(buffer, std::chrono::nanoseconds(0));
        if (got.status == read_status::batch) first.assign(buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(got.bytes));
      } catch (const nt_error& error) {
        if (is_final(error.status())) throw;
        opened.source.reset();
      }
      lock.lock();
      if (opened.source != nullptr) {
        source_ = opened.source;
        waiting_ = std::move(first);
        return {outcome::restored, 0, 0, std::move(opened), why_};
      }
      next_attempt_ = steady::now() + pause_;
      pause_ = std::min(2 * pause_, longest_pause);
    }
    if (steady::now() >= limit) return {outcome::away, 0, 0, {}, why_};
    changed_.wait_until(lock, std::min(limit, next_attempt_), [this] { return cancelled_; });
  }
}

// CancelIoEx finds only what pends already: it is repeated until the read has come back.
void connection::cancel() {
  std::unique_lock lock(mutex_);
  cancelled_ = true;
  changed_.notify_all();
  while (reading_ && cancelled_) {
    const std::shared_ptr<event_source> source = source_;
    lock.unlock();
    if (source != nullptr) source->cancel();
    lock.lock();
    changed_.wait_for(lock, milliseconds(1), [this] { return !reading_; });
  }
}

}  // namespace sluice
