#include "consumers/client/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "consumers/client/read_ahead.h"
#include "consumers/port_source.h"

namespace sluice {
namespace {

constexpr size_t buffer_bytes = 256 * 1024;
using steady = std::chrono::steady_clock;

// What is left of a timeout that began then.
class remaining {
 public:
  explicit remaining(client_timeout timeout) : timeout_(timeout), since_(steady::now()) {}
  client_timeout operator()() const {
    if (!timeout_) return timeout_;
    return std::max(std::chrono::nanoseconds(0), *timeout_ - std::chrono::nanoseconds(steady::now() - since_));
  }

 private:
  const client_timeout timeout_;
  const steady::time_point since_;
};

}  // namespace

client::client(client_options what)
    : what_(what), connection_(std::move(what)), by_(connection_.first().by), types_(what_.types), always_types_(what_.types) {
  const opened_source& opened = connection_.first();
  buffer_.resize(buffer_bytes);
  boot_ = opened.about.boot;
  rings_overwrite_ = (opened.about.features & protocol::feature_overwrite) != 0;
  reader_.learn(opened.about, opened.own_types);
}

client::~client() = default;

bool client::wanted(uint16_t type) const {
  return type < first_event_type || (type < max_record_types && (types_.load() >> type & 1) != 0);
}

const decoded_event* client::next(client_timeout timeout) {
  const remaining left(timeout);
  do {
    while (const decoded_event* const event = reader_.next()) {
      if (!wanted(event->type)) continue;
      last_ = client_outcome::events;
      return event;
    }
  } while (advance(left()));
  return nullptr;
}

std::span<const delivered_record> client::read(client_timeout timeout) {
  const remaining left(timeout);
  do {
    records_.clear();
    for (delivered_record record; reader_.next_record(record);) {
      if (wanted(record.type)) records_.push_back(record);
    }
    if (records_.empty()) continue;
    last_ = client_outcome::events;
    return records_;
  } while (advance(left()));
  return {};
}

// True: there is another batch to take apart.
bool client::advance(client_timeout timeout) {
  if (std::exchange(batch_begun_, false) && flush_.load() != flush_state::none) {
    if (reader_.batch_was_empty()) {
      flush_state before = flush_state::asked;
      if (flush_.compare_exchange_strong(before, flush_state::none)) {
        last_ = client_outcome::flushed;
        return false;
      }
      // The answer to the one before may have been on its way when this one was made.
      flush_ = flush_state::asked;
      ask_for_flush();
    } else if (by_ != transport::port) {
      // Only the port answers behind everything that was final: the others complete one read, and are asked again.
      ask_for_flush();
    }
  }
  std::shared_ptr<read_ahead> ahead;
  {
    const std::lock_guard lock(ahead_mutex_);
    ahead = ahead_;
  }
  if (ahead == nullptr && timeout && timeout->count() <= 0) {
    last_ = client_outcome::timeout;
    return false;
  }
  const connection::result got = ahead != nullptr ? ahead->take(buffer_, timeout) : connection_.read(buffer_, timeout);
  switch (got.what) {
    case connection::outcome::batch:
      reader_.begin(std::span<const uint8_t>(buffer_).first(got.bytes), got.received_at);
      batch_begun_ = true;
      return true;
    case connection::outcome::timeout: last_ = client_outcome::timeout; break;
    case connection::outcome::cancelled: last_ = client_outcome::cancelled; break;
    case connection::outcome::away: last_ = client_outcome::away; break;
    case connection::outcome::restored:
      resume(got);
      last_ = client_outcome::restored;
      break;
  }
  return false;
}

void client::resume(const connection::result& from) {
  const protocol::capabilities& about = from.opened.about;
  interruptions_.push_back({from.why, from.opened.by, about.boot == boot_, reader_.account().received_records()});
  if (about.boot == boot_) {
    reader_.interrupted();
  } else {
    reader_ = event_reader();
    boot_ = about.boot;
    const std::lock_guard lock(own_filter_mutex_);
    always_types_ = own_filter_.empty() ? types_.load() : 0;
  }
  by_ = from.opened.by;
  rings_overwrite_ = (about.features & protocol::feature_overwrite) != 0;
  reader_.learn(about, from.opened.own_types);
  at_connect_ = {reader_.account().stream_records(), reader_.account().missed_events(), reader_.account().late_records()};
  if (flush_.load() != flush_state::none) ask_for_flush();
  // It has begun with the choice of the options. Should that fail, the connection is lost once more, and this comes again.
  try {
    if (!selects_here() && types_.load() != what_.types) set_types(types_.load());
    const std::lock_guard lock(own_filter_mutex_);
    if (!own_filter_.empty()) (void)driver()->set_own_filter(own_filter_);
  } catch (const nt_error&) {
  }
}

void client::cancel() {
  std::shared_ptr<read_ahead> ahead;
  {
    const std::lock_guard lock(ahead_mutex_);
    ahead = ahead_;
  }
  if (ahead != nullptr) {
    ahead->cancel();
  } else {
    connection_.cancel();
  }
}

wait_handle client::descriptor() {
  const std::lock_guard lock(ahead_mutex_);
  if (ahead_ == nullptr) ahead_ = std::make_shared<read_ahead>(connection_, buffer_bytes);
  return ahead_->descriptor();
}

void client::flush() {
  const std::shared_ptr<event_source> asked = driver();
  // From asked on, the driver is asked again where the answer is read.
  for (flush_state now = flush_.load();;) {
    const flush_state next = now == flush_state::none ? flush_state::asked : flush_state::asked_again;
    if (!flush_.compare_exchange_weak(now, next)) continue;
    if (next == flush_state::asked_again) return;
    break;
  }
  try {
    asked->flush();
  } catch (...) {
    flush_ = flush_state::none;  // nobody will answer
    throw;
  }
}

// Again, while the stream is read: should there be nobody to ask, the next read finds out.
void client::ask_for_flush() {
  try {
    driver()->flush();
  } catch (const source_error&) {
  }
}

void client::set_types(uint64_t types) {
  always_types_ &= types;
  if (!selects_here()) {
    types_ |= types;  // what it sends before the answer is here is wanted already
    driver()->set_own_types(types);
  }
  types_ = types;
}

filter_answer client::set_own_filter(std::span<const uint8_t> message) {
  const std::lock_guard lock(own_filter_mutex_);
  const filter_answer answer = driver()->set_own_filter(message);
  if (answer.error != static_cast<uint32_t>(filter_error::none)) return answer;
  always_types_ = 0;  // what it keeps out is no loss: nobody else's figures can be compared
  own_filter_.assign(message.begin(), message.end());
  return answer;
}

void client::clear_own_filter() {
  const std::lock_guard lock(own_filter_mutex_);
  driver()->clear_own_filter();
  own_filter_.clear();
}

driver_filter client::filter() {
  driver_filter now;
  now.message = driver()->filter(now.state);
  return now;
}

std::vector<std::string> client::check(bool since_load) {
  std::vector<std::string> broken;
  const std::shared_ptr<event_source> asked = driver();
  if (by_ == transport::port) {
    // The driver's account of this very connection, whenever it began.
    const protocol::client_row row = asked->own_row();
    const uint64_t records = reader_.account().stream_records() - at_connect_.records;
    const uint64_t missed = reader_.account().missed_events() - at_connect_.missed;
    if (row.offered != row.delivered + row.lost + row.waiting) {
      broken.push_back(fmt::format("R3 BROKEN: offered to this client {}, delivered {}, lost {}, waiting {}", row.offered,
                                   row.delivered, row.lost, row.waiting));
    }
    if (row.delivered != records) {
      broken.push_back(fmt::format("R3 BROKEN: delivered to this client {}, received {}", row.delivered, records));
    }
    // A record that tells of what was overwritten counts once there if it was lost, and here by what it told of: once at least.
    if (rings_overwrite_ ? row.lost > missed : row.lost != missed) {
      broken.push_back(fmt::format("R4 BROKEN: lost to this client {}, announced to it {}", row.lost, missed));
    }
  }
  if (!since_load) return broken;
  uint64_t compared = always_types_.load();
  if (selects_here()) compared = ~uint64_t{0};  // everything came
  compared |= (uint64_t{1} << first_event_type) - 1;
  if (what_.without_own_process) compared &= (uint64_t{1} << first_event_type) - 1;
  driver_statistics statistics = asked->statistics();
  // Late records are counted where rings are merged: if that is here, here and by those that this client had mapped before.
  if (by_ == transport::mapping) statistics.header.late_records += at_connect_.late + asked->merged_late_records();
  for (std::string& each : reader_.account().check(statistics, nullptr, compared)) broken.push_back(std::move(each));
  return broken;
}

}  // namespace sluice
