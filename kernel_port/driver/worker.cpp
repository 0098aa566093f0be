#include "kernel_port/driver/worker.h"

#include "kernel_port/driver/spin.h"

namespace sluice {

NTSTATUS worker::start(channel& from, const kernel_functions& functions, const driver_options& options) {
  PAGED_CODE();
  channel_ = &from;
  functions_ = &functions;
  LARGE_INTEGER frequency;
  KeQueryPerformanceCounter(&frequency);
  frequency_ = static_cast<uint64_t>(frequency.QuadPart);
  margin_ticks_ = frequency_ * options.margin_microseconds / 1000000;
  overdue_ticks_ = frequency_ * options.overdue_milliseconds / 1000;
  merge_.policy() = slack_order(margin_ticks_);

  KeInitializeEvent(&attention_, SynchronizationEvent, FALSE);
  KeInitializeEvent(&closed_, SynchronizationEvent, FALSE);
  KeInitializeEvent(&loan_changed_, SynchronizationEvent, FALSE);
  KeInitializeSpinLock(&clock_lock_);
  KeInitializeEvent(&reader_ready_, NotificationEvent, FALSE);
  ExInitializeFastMutex(&statistics_mutex_);
  clients_.start(&attention_);
  reads_.start();
  statistics_.start();
  copies_.start();
  requests_started_ = true;
  channel_->set_signal(&closed_);

  const uint32_t rings = from.cpu_count() * lanes_per_cpu;
  if (!readers_.allocate(functions, rings) || !heads_.allocate(functions, rings) ||
      !nodes_.allocate(functions, tournament_nodes(rings)) || !announced_.allocate(functions, from.cpu_count()) ||
      !snapshot_.allocate(functions, 1) || !copying_.allocate(functions, 1)) {
    return STATUS_INSUFFICIENT_RESOURCES;
  }
  if (channel_->options().mode == ring_mode::overwrite) {
    const uint32_t longest = channel_->options().main.max_record;
    if (!copy_.allocate(functions, record_stride(longest < max_loss_record ? max_loss_record : longest))) {
      return STATUS_INSUFFICIENT_RESOURCES;
    }
  }
  merge_.attach(readers_.data(), heads_.data(), nodes_.data(), attach_rings(), {overdue_ticks_, from.step_back(), rings});

  anchor_ticks_ = frequency_ * options.anchor_seconds;
  write_anchor();  // before any event
  time_watch_.start(&system_time_was_set, this);
  return thread_.start(&run, this);
}

void worker::stop() {
  PAGED_CODE();
  time_watch_.stop();
  if (thread_.started()) {
    InterlockedExchange(&stopping_, 1);
    KeSetEvent(&attention_, IO_NO_INCREMENT, FALSE);
    thread_.join();
  }
  if (dpcs_ran_) KeFlushQueuedDpcs();  // the last one may not have returned when it was waited for
  if (requests_started_) cancel(nullptr);
}

void worker::read(PIRP irp) {
  InterlockedExchange(&reader_attached_, 1);
  reads_.insert(irp);
  KeSetEvent(&attention_, IO_NO_INCREMENT, FALSE);
}

void worker::query_statistics(PIRP irp) {
  statistics_.insert(irp);
  KeSetEvent(&attention_, IO_NO_INCREMENT, FALSE);
}

void worker::copy_ring(PIRP irp) {
  copies_.insert(irp);
  KeSetEvent(&attention_, IO_NO_INCREMENT, FALSE);
}

void worker::flush() {
  InterlockedExchange(&flush_requested_, 1);
  KeSetEvent(&attention_, IO_NO_INCREMENT, FALSE);
}

void worker::cancel(PFILE_OBJECT file) {
  reads_.cancel(file);
  statistics_.cancel(file);
  copies_.cancel(file);
}

anchor_payload worker::read_clocks(uint64_t offset) const {
  LARGE_INTEGER utc;
  const uint64_t counter = static_cast<uint64_t>(KeQueryPerformanceCounter(nullptr).QuadPart) + offset;
  if (functions_->KeQuerySystemTimePrecise != nullptr) {
    functions_->KeQuerySystemTimePrecise(&utc);
  } else {
    KeQuerySystemTime(&utc);
  }
  return {counter, frequency_, static_cast<uint64_t>(utc.QuadPart)};
}

worker::clock_relation worker::clock() {
  const spin_lock_scope lock(clock_lock_);
  clock_relation now = clock_;
  const anchor_payload read = read_clocks(now.offset);
  // Stepped back, and the stream does not know yet: the last anchor is what its times go by.
  if (read.counter + channel_->step_back() >= now.anchor.counter) now.anchor = read;
  return now;
}

VOID NTAPI worker::run(PVOID context) {
  static_cast<worker*>(context)->loop();
  PsTerminateSystemThread(STATUS_SUCCESS);
}

void worker::loop() {
  PAGED_CODE();
  while (InterlockedCompareExchange(&stopping_, 0, 0) == 0) {
    if (serve_loan()) continue;
    const pass_result result = pass();
    keep_anchored();
    bool busy = pass_room_ == 0;
    const bool read = complete_batch() || serve_reader();
    // Whoever asks is answered, however fast others read, or ask.
    busy |= serve_ring_copy();  // one piece between two batches: neither waits long for the other
    busy |= serve_statistics();
    busy |= serve_client_flushes();
    if (read || serve_flush(result) || busy) continue;
    if (result.end == pass_end::sink_full) {
      // A record is ready and nobody reads. Producers need not signal: only a request can change that.
      (void)wait(0);
    } else {
      sleep();
    }
  }
}

// One merge pass into the batch of the oldest read request, or the clients' queues; what it took is given back to the producers
// at once.
pass_result worker::pass() {
  pass_result result;
  {
    const distribution::lock held(clients_);
    prepare_reader();
    direct_ = !clients_.any();
    pass_room_ = most_of_a_pass;
    result = merge_.pass(outer_sink(*this));
    hand_over();
  }
  merge_.release();
  events_flow_ |= result.emitted != 0;
  report_overdue();
  return result;
}

// The rings of CPUs that were added since.
uint32_t worker::attach_rings() {
  for (const uint32_t ready = channel_->ready_cpus(); attached_cpus_ < ready; ++attached_cpus_) {
    for (uint32_t lane = 0; lane < lanes_per_cpu; ++lane) {
      readers_[attached_cpus_ * lanes_per_cpu + lane].attach(
          channel_->region(attached_cpus_, lane), native_seam::memory(static_cast<uint8_t*>(copy_.get())));
    }
  }
  return attached_cpus_ * lanes_per_cpu;
}

bool worker::open_batch() {
  if (batch_irp_ != nullptr) return true;
  batch_irp_ = reads_.remove();
  if (batch_irp_ == nullptr) return false;
  const PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(batch_irp_);
  batch_.begin(batch_irp_->AssociatedIrp.SystemBuffer, stack->Parameters.Read.Length, channel_->options().boot,
               frequency_);
  return true;
}

bool worker::accept(const record_view<native_seam>& record) {
  if (!(direct_ ? open_batch() && batch_.add(record) : share_out(record))) return false;
  if (record.type() == record_type_loss) {
    loss_payload loss;
    copy_bytes(&loss, record.payload(), sizeof loss);
    announced_[record.cpu] += loss.events;
  }
  return true;
}

// A clock epoch begins at this place of the stream: says so, and how its times stand to UTC.
bool worker::begin_epoch(const epoch_start& start) {
  const clock_relation now{start.epoch, start.offset(), read_clocks(start.offset())};
  const client_stream::epoch_news news{start.time, {start.epoch, 0, start.offset(), start.first}, now.anchor};
  if (!direct_) {
    clients_.begin_epoch(news);
  } else if (!open_batch() || !news.add_to(batch_)) {
    return false;
  }
  const spin_lock_scope lock(clock_lock_);
  clock_ = now;
  return true;
}

// True: a request was completed.
bool worker::complete_batch() {
  if (batch_irp_ == nullptr) return false;
  PIRP const irp = batch_irp_;
  batch_irp_ = nullptr;
  complete(irp, STATUS_SUCCESS, batch_.finish());
  return true;
}

// A flush is served when nothing that was final at the time of the request is left: the pass before this one did not end
// for want of room. Then a read is completed even with an empty batch.
bool worker::serve_flush(const pass_result& last) {
  if (!direct_ || last.end == pass_end::sink_full || InterlockedExchange(&flush_requested_, 0) == 0) return false;
  // Bounded: a client that flushes without pause completes its own reads early, and does not hold the worker.
  for (uint32_t attempt = 0; attempt < 16; ++attempt) {
    // The margin passes first: what was closed before the request is older than T in the next pass.
    spin_for(margin_ticks_ + 1);
    const pass_result result = pass();
    if (!direct_ || result.end == pass_end::sink_full || !open_batch()) {
      // More than one batch, or nobody reads yet, or the reader has got a queue: the flush goes on with the next read.
      InterlockedExchange(&flush_requested_, 1);
      return complete_batch();
    }
    // A request that was made before this read was issued must be covered by a pass that comes after it.
    if (InterlockedExchange(&flush_requested_, 0) == 0) break;
  }
  add_unannounced(batch_);
  return complete_batch();
}

// R4 for gaps that no record follows yet: from the published figures.
bool worker::add_unannounced(batch_writer& to) {
  for (uint32_t cpu = 0; cpu < attached_cpus_; ++cpu) {
    loss_summary figures;
    if (!read_figures(cpu, figures)) return false;
    if (figures.events != announced_[cpu] && !to.add_figures(static_cast<uint16_t>(cpu), figures)) return false;
  }
  return true;
}

// What a CPU has dropped since load. False: it drops without pause; later.
bool worker::read_figures(uint32_t cpu, loss_summary& figures) {
  return read_loss_figures(channel_->region(cpu, lane_main).producer->loss, merge_.offset(),
                           stream_time(merge_.source().now()), figures);
}

// The checked order of going to sleep: announce; let the margin pass; look; sleep only if that look allows it.
void worker::sleep() {
  channel_->wake().announce(announcement::any_close);
  pass_result result{};
  for (uint32_t attempt = 0;; ++attempt) {
    pause(attempt);
    result = pass();
    // An epoch can begin in a batch that no record joins: its reader does not wait for one.
    if (batch_irp_ != nullptr) break;
    if (result.emitted != 0 || result.end == pass_end::sink_full || result.may_sleep() ||
        InterlockedCompareExchange(&stopping_, 0, 0) != 0) {
      break;
    }
    // Stopped by a head without a time, or by an idle ring's T: again after the margin. A request is not kept waiting.
    if (KeReadStateEvent(&attention_) != 0) break;
  }
  if (result.may_sleep() && result.emitted == 0 && batch_irp_ == nullptr) {
    uint64_t ticks = 0;
    if (result.open_time != 0 && overdue_ticks_ != 0) {
      const uint64_t now = merge_.source().now();
      const uint64_t due = result.open_time + overdue_ticks_ + margin_ticks_ + 1;
      const uint64_t least = frequency_ / 1000;  // too many set aside already: look again, but do not spin
      ticks = due > now + least ? due - now : least;
      if (ticks > overdue_ticks_ + margin_ticks_) ticks = overdue_ticks_ + margin_ticks_ + 1;  // the clock stepped back
    }
    (void)wait(ticks);
  }
  channel_->wake().announce(announcement::running);
}

// The margin, by spinning: no timer of the kernel is that fine. Where that does not help for long, by sleeping.
void worker::pause(uint32_t attempt) {
  if (attempt < 16) {
    spin_for(margin_ticks_ + 1);
  } else {
    LARGE_INTEGER interval;
    interval.QuadPart = -10000;  // 1 ms
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
  }
}

// Until there is something to do; at most `ticks`, 0: for ever. True: a record was closed.
bool worker::wait(uint64_t ticks) {
  LARGE_INTEGER interval;
  interval.QuadPart = -static_cast<LONGLONG>(ticks * 10000000 / frequency_ + 1);
  PVOID what[] = {&attention_, &closed_};
  return KeWaitForMultipleObjects(2, what, WaitAny, Executive, KernelMode, FALSE, ticks == 0 ? nullptr : &interval,
                                  nullptr) == STATUS_WAIT_0 + 1;
}

// In stream time. While the clock has stepped back and the stream is not there yet, there is none: an epoch brings its own.
void worker::write_anchor() {
  clock_relation now{merge_.epoch(), merge_.offset(), read_clocks(merge_.offset())};
  if (!merge_.counts(now.anchor.counter - now.offset)) return;
  {
    const spin_lock_scope lock(clock_lock_);
    clock_ = now;
  }
  channel_->write_own(record_type_anchor, &now.anchor, sizeof now.anchor);
}

// An idle system wakes nobody for this: the first events after a long rest bring the next anchor.
void worker::keep_anchored() {
  const bool events_flow = events_flow_;
  events_flow_ = false;
  if (InterlockedExchange(&system_time_set_, 0) != 0) {
    write_anchor();
  } else if (events_flow && anchor_ticks_ != 0) {
    const uint64_t now = merge_.source().now();
    if (merge_.counts(now) && stream_time(now) - clock_.anchor.counter >= anchor_ticks_) write_anchor();
  }
}

// Up to DISPATCH_LEVEL.
void worker::system_time_was_set(void* context) {
  worker& self = *static_cast<worker*>(context);
  InterlockedExchange(&self.system_time_set_, 1);
  KeSetEvent(&self.attention_, IO_NO_INCREMENT, FALSE);
}

// Called inside a merge pass: notes only, and reports after it.
void worker::note_set_aside(const record_view<native_seam>& record) {
  ++overdue_count_;
  if (noted_count_ == ring_reader<native_seam>::max_set_aside) return;  // still counted
  set_aside_record& note = noted_[noted_count_++];
  note = {{channel_->options().boot, record.position, record.cpu, record.lane}, record.time, record.type(), 0, 0};
  if (note.type >= first_event_type && note.type < first_own_type) {
    // The context was written before the record was stamped and is not written again (channel::reserve_event).
    note.pid = record.data.load(record.offset + record_header_size);
    note.tid = record.data.load(record.offset + record_header_size + 4);
  }
}

void worker::report_overdue() {
  while (noted_count_ != 0) {
    const set_aside_record& note = noted_[--noted_count_];
    const uint64_t now = stream_time(merge_.source().now());
    const overdue_payload payload{note.identity.position,
                                  note.time,
                                  now > note.time ? now - note.time : 0,
                                  note.type,
                                  note.identity.cpu,
                                  note.identity.lane,
                                  0,
                                  note.pid,
                                  note.tid};
    channel_->write_own(record_type_overdue, &payload, sizeof payload);
  }
}

}  // namespace sluice
