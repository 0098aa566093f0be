// The worker: the system thread that merges the rings and gives what it merged to the clients.
//
// It is the only consumer of the rings. While the device's reader is the only client, batches are made in the buffers of its
// requests; while no request waits, nothing is taken: what it does not read stays in the rings, and what does not fit there is
// dropped and announced. With clients on the port, each has a queue (kernel_port/driver/distribution.h), the reader too.
// A slow client costs itself. A client that has mapped the rings is the consumer instead (kernel_port/driver/ring_loan.cpp).
//
// Requests come at up to DISPATCH_LEVEL; the merge, statistics and completion run at PASSIVE_LEVEL in the thread.
#pragma once

#include "kernel_port/driver/admission.h"
#include "kernel_port/driver/distribution.h"
#include "kernel_port/driver/options.h"
#include "kernel_port/driver/protocol.h"
#include "kernel_port/driver/request_queue.h"
#include "kernel_port/driver/system_thread.h"
#include "kernel_port/driver/time_watch.h"
#include "pipeline/batch_writer.h"
#include "pipeline/native_merge.h"
#include "pipeline/ring_copy.h"
#include "producers/processor_call.h"

namespace sluice {

class worker {
 public:
  worker() : merge_(outer_clock(&read_counter, nullptr), slack_order(0)) {}
  ~worker() { stop(); }
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;

  // PASSIVE_LEVEL. Starts the thread.
  [[nodiscard]] SLUICE_INIT_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS start(channel& from, const kernel_functions& functions, const driver_options& options);
  // PASSIVE_LEVEL. Ends the thread and cancels what waits.
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  void stop();

  // The caller returns STATUS_PENDING. Up to DISPATCH_LEVEL.
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void read(PIRP irp);
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void query_statistics(PIRP irp);
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void copy_ring(PIRP irp);
  // Completes a read, the pending one or the next, with what is final now; with an empty batch if that is nothing.
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void flush();
  // Completes everything that waits for this handle.
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void cancel(PFILE_OBJECT file);
  // The handle that reads has gone, and what waited for it. <= APC_LEVEL.
  _IRQL_requires_max_(APC_LEVEL)
  void detach_reader();

  // For clients on the port: who they are, and what the control path asks for. The answer to query_statistics above, made
  // while the caller waits: PASSIVE_LEVEL, while the thread runs.
  distribution& clients() { return clients_; }
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS statistics_now(_Out_writes_bytes_to_(size, written) void* buffer, uint32_t size, uint32_t& written);
  uint64_t frequency() const { return frequency_; }

  // Who gets the stream from here, or has the rings instead.
  admission& consumers() { return consumers_; }
  uint64_t margin_ticks() const { return margin_ticks_; }
  uint64_t overdue_ticks() const { return overdue_ticks_; }

  // The rings go to somebody who merges them elsewhere, and come back. Returns when the thread has let go of them, or taken over.
  // `closed` is called by the thread when a record was closed that whoever announced asked for. Up to APC_LEVEL, one caller
  // at a time, while the thread runs.
  struct close_listener {
    void* context;
    void (*closed)(void* context);
  };
  _IRQL_requires_max_(APC_LEVEL)
  void lend_rings(const close_listener& to);
  _IRQL_requires_max_(APC_LEVEL)
  void take_rings_back();
  // Of a ring that is lent: where what was not consumed begins, and what LOSS records before that had announced.
  _IRQL_requires_max_(APC_LEVEL)
  void lent_position(uint32_t ring, uint64_t& position, uint64_t& announced) const;

  // How the stream's time stands to the counter, and to UTC. Up to DISPATCH_LEVEL.
  struct clock_relation {
    uint32_t epoch;
    uint64_t offset;  // stream time - counter, mod 2^64
    anchor_payload anchor;
  };
  _IRQL_requires_max_(DISPATCH_LEVEL)
  clock_relation clock();

 private:
  struct set_aside_record {
    record_identity identity;
    uint64_t time;
    uint16_t type;
    uint32_t pid;
    uint32_t tid;
  };

  _IRQL_requires_(PASSIVE_LEVEL)
  static VOID NTAPI run(PVOID context);
  _IRQL_requires_(PASSIVE_LEVEL)
  void loop();
  _IRQL_requires_max_(APC_LEVEL)
  bool share_out(const record_view<native_seam>& record);
  _IRQL_requires_(PASSIVE_LEVEL)
  void prepare_reader();
  _IRQL_requires_(PASSIVE_LEVEL)
  bool serve_reader();
  _IRQL_requires_max_(APC_LEVEL)
  void give_to_reader(PIRP irp);
  _IRQL_requires_(PASSIVE_LEVEL)
  bool serve_client_flushes();
  // What a merge pass hands records to: the batch of the request at the head of the queue, or the clients' queues.
  friend class outer_sink;
  _IRQL_requires_max_(APC_LEVEL)
  bool accept(const record_view<native_seam>& record);
  _IRQL_requires_max_(APC_LEVEL)
  void note_set_aside(const record_view<native_seam>& record);
  _IRQL_requires_max_(APC_LEVEL)
  bool begin_epoch(const epoch_start& start);
  uint32_t ring_count() { return attach_rings(); }
  static uint64_t read_counter(void*) { return kernel_clock().now(); }

  _IRQL_requires_max_(APC_LEVEL)
  uint32_t attach_rings();
  _IRQL_requires_max_(APC_LEVEL)
  bool open_batch();
  _IRQL_requires_(PASSIVE_LEVEL)
  void report_overdue();
  _IRQL_requires_(PASSIVE_LEVEL)
  pass_result pass();
  _IRQL_requires_(PASSIVE_LEVEL)
  bool complete_batch();
  _IRQL_requires_(PASSIVE_LEVEL)
  bool serve_flush(const pass_result& last);
  _IRQL_requires_max_(APC_LEVEL)
  bool add_unannounced(batch_writer& to);
  _IRQL_requires_max_(APC_LEVEL)
  bool read_figures(uint32_t cpu, loss_summary& figures);
  _IRQL_requires_max_(APC_LEVEL)
  void hand_over();
  _IRQL_requires_max_(APC_LEVEL)
  bool tell_figures(uint32_t cpu, batch_writer& to);
  _IRQL_requires_max_(APC_LEVEL)
  figures_source figures();
  _IRQL_requires_(PASSIVE_LEVEL)
  void sleep();
  _IRQL_requires_(PASSIVE_LEVEL)
  void pause(uint32_t attempt);
  _IRQL_requires_(PASSIVE_LEVEL)
  bool wait(uint64_t ticks);
  uint64_t stream_time(uint64_t counter) const { return counter + merge_.offset(); }
  _IRQL_requires_max_(DISPATCH_LEVEL)
  anchor_payload read_clocks(uint64_t offset) const;
  _IRQL_requires_max_(APC_LEVEL)
  void write_anchor();
  _IRQL_requires_(PASSIVE_LEVEL)
  void keep_anchored();
  _IRQL_requires_max_(DISPATCH_LEVEL)
  static void system_time_was_set(void* context);

  _IRQL_requires_(PASSIVE_LEVEL)
  bool serve_statistics();
  _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS collect_statistics(_Out_writes_bytes_to_(size, written) void* buffer, uint32_t size, uint32_t& written);
  [[nodiscard]] _IRQL_requires_(PASSIVE_LEVEL)
  bool snapshot(uint32_t cpu);
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void add_what_lies_in_the_rings();
  bool nobody_holds_back_producers() const { return lent_ || channel_->options().mode == ring_mode::overwrite; }
  _IRQL_requires_(DISPATCH_LEVEL)
  static VOID NTAPI snapshot_on_cpu(PKDPC dpc, PVOID context, PVOID, PVOID);
  [[nodiscard]] _IRQL_requires_(PASSIVE_LEVEL)
  bool run_on_cpu(uint32_t cpu, PKDEFERRED_ROUTINE routine);

  // 16 KiB of records: at DISPATCH_LEVEL for some 10 us each.
  static constexpr uint32_t steps_of_take_over = 16;
  enum class loan : LONG { none, asked, lent, returned };
  _IRQL_requires_max_(APC_LEVEL)
  void change_loan(loan next);
  _IRQL_requires_(PASSIVE_LEVEL)
  bool serve_loan();
  _IRQL_requires_(PASSIVE_LEVEL)
  void rest_while_lent();
  _IRQL_requires_(PASSIVE_LEVEL)
  void take_over();
  _IRQL_requires_(PASSIVE_LEVEL)
  uint64_t announced_in_rings(uint32_t cpu);
  _IRQL_requires_(DISPATCH_LEVEL)
  static VOID NTAPI take_over_on_cpu(PKDPC dpc, PVOID context, PVOID, PVOID);

  _IRQL_requires_(PASSIVE_LEVEL)
  bool serve_ring_copy();
  _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS copy_piece(const protocol::ring_copy_request& request, PFILE_OBJECT file, uint8_t* buffer, uint32_t size,
                      uint32_t& written);
  _IRQL_requires_(PASSIVE_LEVEL)
  static void add_losses(const region_view<native_seam>& region, protocol::ring_copy& answer);

  channel* channel_ = nullptr;
  const kernel_functions* functions_ = nullptr;
  native_merge merge_;
  nonpaged_array<ring_reader<native_seam>> readers_;
  uint32_t attached_cpus_ = 0;
  nonpaged_memory copy_;  // overwrite mode: where the readers copy a record to
  nonpaged_array<ring_head> heads_;
  nonpaged_array<tournament_node> nodes_;
  nonpaged_array<uint64_t> announced_;  // events that LOSS records have told of, by CPU
  uint64_t frequency_ = 1;
  uint64_t margin_ticks_ = 0;
  uint64_t overdue_ticks_ = 0;
  KSPIN_LOCK clock_lock_{};
  clock_relation clock_{};  // as of the last anchor
  uint64_t anchor_ticks_ = 0;
  bool events_flow_ = false;  // a record was emitted since an anchor was last thought of
  LONG system_time_set_ = 0;
  time_watch time_watch_;

  system_thread thread_;
  KEVENT attention_{};  // something to do: a request came, a client, stop
  KEVENT closed_{};     // a record was closed while the announcement asked for it
  LONG stopping_ = 0;
  LONG flush_requested_ = 0;
  request_queue reads_;
  request_queue statistics_;
  request_queue copies_;
  bool requests_started_ = false;

  // The lock of the distribution is held for a pass: this bounds it, in bytes of records, while there are clients.
  static constexpr uint32_t most_of_a_pass = 2 * client_stream::batch_bytes;

  distribution clients_;
  bool direct_ = true;           // straight into the reader's buffers; as of the last pass
  uint32_t pass_room_ = 0;       // 0: the pass ended for it, not for want of room elsewhere
  uint64_t shared_out_to_ = 0;   // stream time of the last record that went to the clients
  client_stream reader_;      // of the device, while there are clients on the port
  bool reader_listed_ = false;
  LONG reader_attached_ = 0;  // somebody has read since the last detach_reader
  KEVENT reader_ready_{};

  // One caller of statistics_now; the others wait for the mutex.
  FAST_MUTEX statistics_mutex_{};
  struct statistics_call {
    void* buffer;
    uint32_t size;
    uint32_t written;
    NTSTATUS status;
    KEVENT done;
  };
  statistics_call* volatile statistics_call_ = nullptr;

  PIRP batch_irp_ = nullptr;
  batch_writer batch_;
  uint64_t overdue_count_ = 0;
  uint32_t noted_count_ = 0;
  set_aside_record noted_[ring_reader<native_seam>::max_set_aside] = {};

  // The answer of one CPU to a statistics request.
  struct cpu_snapshot {
    processor_call call;
    KEVENT done;
    worker* self;
    uint32_t cpu;
    bool settled;
    kernel_rings::restart taken_over;
    uint64_t violations;
    kernel_rings::positions where;
    account_row rows[max_record_types];
    filter_row filtered[max_record_types];
  };
  nonpaged_array<cpu_snapshot> snapshot_;
  bool figures_moved_ = false;  // a CPU dropped without pause while its figures were read
  bool dpcs_ran_ = false;

  admission consumers_;
  LONG loan_ = 0;          // loan: set by the borrower to asked and returned, by the thread to lent and none
  KEVENT loan_changed_{};
  close_listener listener_{};
  bool lent_ = false;      // the thread's own view
  uint32_t lent_rings_ = 0;

  // Where the last piece of a ring's copy ended, and for whom: no client names a position (R5).
  struct copy_place {
    PFILE_OBJECT file;
    uint32_t ring;
    uint64_t end;
    uint64_t until;
  };
  copy_place copied_{};
  // Too large for a kernel's stack.
  struct copy_in_work {
    ring_copier<native_seam>::piece piece;
    protocol::ring_copy answer;
  };
  nonpaged_array<copy_in_work> copying_;
};

}  // namespace sluice
