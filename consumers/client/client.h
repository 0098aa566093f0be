// A client of the driver: what a service links. docs/client.md shows it at work.
//
//   sluice::client client({.name = "demo"});
//   for (;;) {
//     if (const sluice::decoded_event* event = client.next({})) { ... }     // or client.read({}): a batch, not decoded
//   }
//
// The stream is the same whichever transport carries it: in order, typed, without duplicates, and what is missing is said, in it
// (loss_event) and about it (interruption).
//
// One thread reads: next, read, descriptor, take_interruptions, take_faults, check, and the account; all others may be called
// from any thread at the same time. What fails throws source_error (nt_error where the kernel gave a status).
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "consumers/client/connection.h"
#include "consumers/event_reader.h"
#include "consumers/os/wait_handle.h"

namespace sluice {

class read_ahead;

enum class client_outcome {
  events,     // there are some
  timeout,    // nothing came in time; nothing is lost
  flushed,    // the answer to flush(): what was final when it was asked for has come
  cancelled,  // cancel() was called
  away,       // the connection is lost, and was not back in time (client_options::reconnects)
  restored,   // it was lost, and is back: see take_interruptions
};

// The connection was lost for a while.
struct interruption {
  std::string why;
  transport by{};          // that it goes on with
  bool same_stream = false;  // the driver was there all the time: identities go on, and duplicates are dropped. What is missing
                             // can be told (client::missed_bytes). False: another load of it; the account begins anew.
  uint64_t received = 0;   // records until then, since the account began
};

// The filter of the driver, as it was set (producers/filter_message.h).
struct driver_filter {
  filter_state state{};
  std::vector<uint8_t> message;
};

class client {
 public:
  explicit client(client_options what);
  ~client();
  client(const client&) = delete;
  client& operator=(const client&) = delete;

  // The next event, valid until the next call of next or read. Null: last() says why. A timeout of 0 reads nothing new, but what
  // has come already if descriptor() was called.
  const decoded_event* next(client_timeout timeout);
  // The next batch: records as they are (names().decode makes an event of one). Empty: last() says why. Valid as next's.
  std::span<const delivered_record> read(client_timeout timeout);
  client_outcome last() const { return last_; }
  // Ends the call of next or read in hand, or the next one.
  void cancel();
  // Ready (wait_handle.h) while there is something to take: then next(0) until it gives null. The first call starts a thread, which reads ahead a
  // few batches from then on; without it, nothing is read before it is asked for.
  wait_handle descriptor();
  // What is final now comes, also if it is little; then the outcome `flushed`. A second one before that moves it behind what was final
  // at the second.
  void flush();

  // This client's choice, for what it is given from now on. Over the port the driver sends nothing else; over the others the rest comes
  // too, and is dropped here.
  void set_types(uint64_t types);
  transport by() const { return by_; }
  protocol::capabilities capabilities() { return driver()->capabilities(); }
  driver_statistics statistics() { return driver()->statistics(); }
  // The driver's, for all clients, until it is cleared (docs/filters.md). An answer with an error: the former one stays.
  filter_answer set_filter(std::span<const uint8_t> message) { return driver()->set_filter(message); }
  filter_answer clear_filter() { return driver()->clear_filter(); }
  driver_filter filter();
  // This client's alone, beside that: the port only (docs/port.md). It is set again when the connection was lost.
  filter_answer set_own_filter(std::span<const uint8_t> message);
  void clear_own_filter();
  // Every other request. Not for reading.
  std::shared_ptr<event_source> driver() { return connection_.driver(); }

  // What came, and what was said to be missing, since the client or the driver began.
  const accounting& account() const { return reader_.account(); }
  // Bytes of the rings' positions that went by while the connection was lost: what was missed, and with it what was discarded, or
  // is of types not asked for. 0: nothing was missed in the rings that have been heard of since.
  uint64_t missed_bytes() const { return reader_.account().interrupted_bytes(); }
  // Everything that does not add up between the driver's figures and this client's, one sentence each: while no event happens and
  // after a flush. `since_load`: the client has had the stream since the driver was loaded, so what others count is compared too.
  std::vector<std::string> check(bool since_load);

  decoder& names() { return reader_.names(); }
  const stream_clock& clock() const { return reader_.clock(); }
  std::vector<interruption> take_interruptions() { return std::exchange(interruptions_, {}); }
  // What was wrong with batches, once each.
  std::vector<std::string> take_faults() { return reader_.take_faults(); }

 private:
  bool advance(client_timeout timeout);
  void resume(const connection::result& from);
  void ask_for_flush();
  bool wanted(uint16_t type) const;
  bool selects_here() const { return by_ != transport::port; }

  const client_options what_;
  connection connection_;
  std::atomic<transport> by_;
  std::atomic<uint64_t> types_;
  std::mutex own_filter_mutex_;
  std::vector<uint8_t> own_filter_;  // empty: none
  std::atomic<uint64_t> always_types_;  // that were wanted all the time: only they can be compared
  event_reader reader_;
  uint64_t boot_ = 0;
  bool rings_overwrite_ = false;
  std::vector<uint8_t> buffer_;
  std::vector<delivered_record> records_;
  client_outcome last_ = client_outcome::timeout;
  bool batch_begun_ = false;
  enum class flush_state : uint32_t { none, asked, asked_again };
  std::atomic<flush_state> flush_{flush_state::none};
  std::vector<interruption> interruptions_;
  struct {
    uint64_t records = 0, missed = 0, late = 0;
  } at_connect_;  // of the account, for the driver's row of this connection
  std::mutex ahead_mutex_;
  std::shared_ptr<read_ahead> ahead_;
};

}  // namespace sluice
