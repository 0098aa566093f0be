// The worker's side of the distribution: when the device's reader needs a queue, and how it is served from it.
#include "kernel_port/driver/spin.h"
#include "kernel_port/driver/worker.h"

namespace sluice {

// With the lock held, when the clients' queues have changed.
void worker::hand_over() { clients_.hand_over(figures()); }

figures_source worker::figures() {
  return {this, attached_cpus_,
          [](void* self, uint32_t cpu, batch_writer& to) { return static_cast<worker*>(self)->tell_figures(cpu, to); },
          [](void* self, batch_writer& to) { (void)static_cast<worker*>(self)->add_unannounced(to); }};
}

// False: no room, or the CPU drops without pause.
bool worker::tell_figures(uint32_t cpu, batch_writer& to) {
  loss_summary figures;
  if (!read_figures(cpu, figures)) {
    figures_moved_ = true;
    return false;
  }
  return figures.events == 0 || to.add_figures(static_cast<uint16_t>(cpu), figures, batch_flag_stream);
}

bool worker::share_out(const record_view<native_seam>& record) {
  if (pass_room_ == 0 || !clients_.accept(record)) return false;
  pass_room_ -= record.length < pass_room_ ? record.length : pass_room_;
  if (!record.late) shared_out_to_ = record.time;
  return true;
}

// With the lock held, before a pass. The reader has a queue from the first other client on, until it has had what waited there
// and is the only client again.
void worker::prepare_reader() {
  if (InterlockedCompareExchange(&reader_attached_, 1, 1) == 0) return;
  if (!reader_listed_) {
    if (!clients_.any()) return;
    (void)complete_batch();  // what stands there is older than what goes to the queue
    reader_listed_ = clients_.add_locked(reader_);
  }
  if (clients_.is_only(reader_) && reader_.settled()) {
    if (reader_.flush_requested()) InterlockedExchange(&flush_requested_, 1);
    clients_.remove_locked(reader_);
    reader_.destroy();
    reader_listed_ = false;
  } else if (!reader_.created()) {
    // Without memory the reader takes part all the same, loses what it cannot be given, and is told: tried again next time.
    client_stream::wishes everything;
    everything.takes_by_request = true;
    copy_bytes(everything.name, "(device)", 8);
    (void)reader_.create(*functions_, everything, channel_->options().boot, frequency_, &reader_ready_);
  }
}

void worker::detach_reader() {
  const distribution::lock held(clients_);
  InterlockedExchange(&reader_attached_, 0);
  if (!reader_listed_) return;
  clients_.remove_locked(reader_);
  reader_.destroy();
  reader_listed_ = false;
}

// A batch of the reader's queue into a request. True: a request was completed.
bool worker::serve_reader() {
  const distribution::lock held(clients_);
  if (!reader_.created()) return false;
  if (InterlockedExchange(&flush_requested_, 0) != 0) reader_.request_flush();
  if (reader_.empty()) return false;
  PIRP const irp = reads_.remove();
  if (irp == nullptr) return false;
  give_to_reader(irp);
  return true;
}

// With the lock held; the reader's queue is not empty.
void worker::give_to_reader(PIRP irp) {
  const client_stream::batch batch = reader_.take();
  copy_bytes(irp->AssociatedIrp.SystemBuffer, batch.bytes, batch.length);  // min_read_bytes hold any batch
  if (reader_.given_back(true)) KeSetEvent(&attention_, IO_NO_INCREMENT, FALSE);
  complete(irp, STATUS_SUCCESS, batch.length);
}

// What was final when a client asked is in its queue, and its batch can be taken, even if it is empty. True: one was answered, or can be
// tried again at once.
bool worker::serve_client_flushes() {
  bool begun = false;
  {
    const distribution::lock held(clients_);
    if (!clients_.any()) return false;
    // While the clock has stepped back and the stream has not, no time says what is final: the pass must end by itself.
    const uint64_t now = merge_.source().now();
    begun = clients_.begin_flushes(merge_.counts(now) ? stream_time(now) : ~uint64_t{0});
  }
  if (begun) {
    // The margin passes first: what was closed before the request is older than T in the next pass.
    spin_for(margin_ticks_ + 1);
    const bool complete = pass().end != pass_end::sink_full;
    const distribution::lock held(clients_);
    clients_.note_pass(complete, shared_out_to_);
  }
  const distribution::lock held(clients_);
  figures_moved_ = false;
  bool settled = clients_.settle_flushes(figures());
  if (settled) hand_over();
  if (reader_listed_ && reader_.can_settle_flush(figures())) {
    if (PIRP const irp = reads_.remove()) {  // otherwise the flush goes on with the next read
      settled = true;
      if (InterlockedExchange(&flush_requested_, 0) != 0) {
        // It was made before this read was issued, perhaps, and then the read's answer must cover it.
        reads_.put_back(irp);
        reader_.request_flush();
      } else {
        reader_.settle_flush_with_oldest(figures());
        give_to_reader(irp);
      }
    }
  }
  return settled || figures_moved_;
}

}  // namespace sluice
