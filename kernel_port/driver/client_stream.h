// One client's share of the stream: the types it wants, a bounded queue of batches, and an account of its own.
//
//   offered = delivered + lost + waiting      (records that it wants; always, see protocol::client_row)
//
// A record that finds no room is lost to this client alone. The next batch with room says so at that place: an entry with
// batch_flag_client_loss, a loss_payload by type. The rings' own account knows nothing of it. What a LOSS record of the rings
// would have told is not lost with it: what was overwritten counts as missed here, and for what was dropped the CPUs' figures
// follow (batch_flag_figures and batch_flag_stream). From then on its LOSS records do not add up to what was dropped, and a flush brings
// the figures anew if there was another one. Nor is it ever lost that a clock epoch has begun: it waits for room, and the latest is told.
//
// All members under the lock of the distribution it belongs to; memory is non-paged. take() hands out the oldest batch, which
// stays where it is until given_back(): one taker at a time.
#pragma once

#include "kernel_port/driver/client_filter.h"
#include "kernel_port/driver/protocol.h"
#include "pipeline/batch_writer.h"
#include "producers/channel.h"
#include "producers/epoch_news.h"
#include "producers/events.h"
#include "producers/pool.h"

namespace sluice {

// Who knows what the CPUs have dropped since load.
struct figures_source {
  void* context;
  uint32_t cpus;
  // Of one, if it has dropped anything. False: no room, or not now.
  bool (*tell)(void* context, uint32_t cpu, batch_writer& to);
  // Of those that have dropped what no record follows yet.
  void (*tell_unannounced)(void* context, batch_writer& to);
};

class client_stream {
 public:
  static constexpr uint32_t batch_count = 8;
  static constexpr uint32_t batch_bytes = protocol::min_read_bytes;

  struct wishes {
    uint64_t types = ~uint64_t{0};  // bit n: type n; what describes the stream comes always
    uint32_t without_pid = 0;       // events that happen in this process are left out; 0: none are
    uint32_t pid = 0;               // for the statistics
    bool takes_by_request = false;  // the device's reader: its flushes are settled with a read at hand
    char name[protocol::client_name_bytes] = {};
  };
  struct batch {
    const uint8_t* bytes;  // null: none
    uint32_t length;
  };
  enum class offer_result { taken, not_wanted, no_room };
  using epoch_news = sluice::epoch_news;

  // `ready` is set when there is something to take. False: there is no memory; the wishes hold all the same.
  [[nodiscard]] _IRQL_requires_max_(APC_LEVEL)
  bool create(const kernel_functions& functions, const wishes& what, uint64_t boot, uint64_t frequency,
                            KEVENT* ready);
  bool created() const { return slots_.get() != nullptr; }
  _IRQL_requires_max_(APC_LEVEL)
  void destroy();

  // Asked about each record, wanted or not: a filter follows the stream.
  _IRQL_requires_max_(APC_LEVEL)
  bool wants(const record_view<native_seam>& record);
  // The client's own filter from now on, null: none; returns the former one, which is the caller's. Not destroyed with this.
  [[nodiscard]] client_filter* set_filter(client_filter* next) {
    client_filter* const former = filter_;
    filter_ = next;
    return former;
  }
  const client_filter* filter() const { return filter_; }
  void set_types(uint64_t types) { wishes_.types = types; }
  _IRQL_requires_max_(APC_LEVEL)
  offer_result offer(const record_view<native_seam>& record);
  _IRQL_requires_max_(APC_LEVEL)
  void lose(const record_view<native_seam>& record);
  _IRQL_requires_max_(APC_LEVEL)
  void begin_epoch(const epoch_news& news);
  // After a pass: what is there can be taken.
  _IRQL_requires_max_(APC_LEVEL)
  void hand_over(const figures_source& figures);

  // The client asked for what is final now: everything older than `now` (stream time) of the begin_flush that follows is
  // final after a pass from then on that ended by itself, or has come to something younger. Then the answer is due.
  void request_flush() { flush_ = flush::requested; }
  bool flush_requested() const { return flush_ != flush::none; }
  // True: a pass is needed.
  bool begin_flush(uint64_t now) {
    if (flush_ == flush::requested) {
      flush_ = flush::begun;
      flush_until_ = now;
    }
    return flush_ == flush::begun;
  }
  void note_pass(bool complete, uint64_t reached) {
    if (flush_ != flush::begun || (!complete && reached <= flush_until_)) return;
    flush_ = flush::due;
    if (figures_are_old_) figures_next_ = 0;
    figures_are_old_ = false;
  }
  // The answer: a batch without a record of the stream, behind all that has some. What no record follows yet is told there.
  // False: not due, or no room yet; asked again when there is.
  _IRQL_requires_max_(APC_LEVEL)
  bool settle_flush(const figures_source& figures);
  // The other way to answer, for who takes a batch at once: with the oldest that waits; without a record only if nothing does.
  _IRQL_requires_max_(APC_LEVEL)
  bool can_settle_flush(const figures_source& figures);
  _IRQL_requires_max_(APC_LEVEL)
  void settle_flush_with_oldest(const figures_source& figures);

  _IRQL_requires_max_(APC_LEVEL)
  batch take();
  // Delivered or not; the batch's memory is used again. True: somebody may have waited for the room.
  _IRQL_requires_max_(APC_LEVEL)
  bool given_back(bool delivered);
  bool empty() const { return sealed_ == 0 && writer_.record_count() == 0; }
  // Nothing waits for it, there is nothing left to tell it, and what it will be told adds up without this.
  bool settled() const { return empty() && !has_news() && figures_next_ == nothing && !lost_announcements_; }
  bool takes_by_request() const { return wishes_.takes_by_request; }
  void count_failed_send() { ++failed_sends_; }

  _IRQL_requires_max_(APC_LEVEL)
  protocol::client_row row() const;

 private:
  static constexpr uint32_t nothing = ~0u;
  enum class flush : uint8_t { none, requested, begun, due };
  struct gap {
    uint64_t first_time;
    uint64_t last_time;
    uint64_t bytes;
    uint64_t events;
    uint64_t by_type[max_record_types];
  };

  uint8_t* slot(uint32_t index) const { return static_cast<uint8_t*>(slots_.get()) + index % batch_count * batch_bytes; }
  _IRQL_requires_max_(APC_LEVEL)
  uint64_t waiting() const;
  _IRQL_requires_max_(APC_LEVEL)
  void miss_overwritten(const record_view<native_seam>& record);
  bool has_news() const { return gap_.events != 0 || epoch_begun_; }
  _IRQL_requires_max_(APC_LEVEL)
  bool open_slot();
  _IRQL_requires_max_(APC_LEVEL)
  void seal();
  _IRQL_requires_max_(APC_LEVEL)
  bool tell_gap();
  _IRQL_requires_max_(APC_LEVEL)
  bool tell_epoch();
  _IRQL_requires_max_(APC_LEVEL)
  bool tell_news();
  _IRQL_requires_max_(APC_LEVEL)
  void tell(const figures_source& figures);
  _IRQL_requires_max_(APC_LEVEL)
  void tell_figures(const figures_source& from);

  wishes wishes_;
  client_filter* filter_ = nullptr;
  nonpaged_memory slots_;
  KEVENT* ready_ = nullptr;  // null: never created
  uint64_t boot_ = 0;
  uint64_t frequency_ = 0;
  batch_writer writer_;     // of slot first_ + sealed_, if open_
  bool open_ = false;
  bool taken_ = false;      // the oldest batch is with its taker
  bool refused_ = false;    // a record found no room since the last given_back
  flush flush_ = flush::none;
  uint64_t flush_until_ = 0;
  uint32_t first_ = 0;      // the oldest sealed batch
  uint32_t sealed_ = 0;
  uint32_t lengths_[batch_count] = {};
  uint32_t records_[batch_count] = {};
  uint32_t open_records_ = 0;  // of the stream, in the open batch: what tells of gaps is not counted
  gap gap_{};                  // not announced yet
  uint32_t figures_next_ = nothing;  // the CPU whose figures are told next
  bool lost_announcements_ = false;  // LOSS records of the rings were lost to this client
  bool figures_are_old_ = false;     // and there was another one since it was told the figures
  bool epoch_begun_ = false;   // and has not been told yet
  epoch_news epoch_{};
  uint64_t offered_ = 0;
  uint64_t delivered_ = 0;
  uint64_t lost_ = 0;
  uint64_t delivered_batches_ = 0;
  uint64_t failed_sends_ = 0;
};

}  // namespace sluice
