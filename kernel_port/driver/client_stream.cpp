#include "kernel_port/driver/client_stream.h"

namespace sluice {

bool client_stream::create(const kernel_functions& functions, const wishes& what, uint64_t boot, uint64_t frequency,
                           KEVENT* ready) {
  wishes_ = what;
  boot_ = boot;
  frequency_ = frequency;
  ready_ = ready;
  return slots_.allocate(functions, batch_count * batch_bytes);
}

void client_stream::destroy() {
  slots_.release();
  writer_ = batch_writer();
  open_ = taken_ = refused_ = epoch_begun_ = lost_announcements_ = figures_are_old_ = false;
  flush_ = flush::none;
  first_ = sealed_ = open_records_ = 0;
  figures_next_ = nothing;
  gap_ = {};
  offered_ = delivered_ = lost_ = delivered_batches_ = failed_sends_ = 0;
}

bool client_stream::wants(const record_view<native_seam>& record) {
  const uint16_t type = record.type();
  if (type < first_event_type) return true;  // what describes the stream
  if (filter_ != nullptr && !filter_->wants(record)) return false;
  if (type >= max_record_types || (wishes_.types >> type & 1) == 0) return false;
  if (wishes_.without_pid == 0 || type >= first_own_type) return true;
  event_context context;
  copy_bytes(&context, record.payload(), sizeof context);
  return context.pid != wishes_.without_pid;
}

client_stream::offer_result client_stream::offer(const record_view<native_seam>& record) {
  if (!wants(record)) return offer_result::not_wanted;
  // The second look is into an empty batch: only a full queue refuses.
  for (uint32_t look = 0; look < 2; ++look) {
    if (!open_slot()) break;
    if (tell_news() && writer_.add(record)) {
      ++offered_;
      ++open_records_;
      if (lost_announcements_ && record.type() == record_type_loss) [[unlikely]] figures_are_old_ = true;
      return offer_result::taken;
    }
    seal();
  }
  refused_ = true;
  return offer_result::no_room;
}

void client_stream::lose(const record_view<native_seam>& record) {
  ++offered_;
  ++lost_;
  // A late record is older than what came before it.
  if (gap_.events == 0 || record.time < gap_.first_time) gap_.first_time = record.time;
  if (record.time > gap_.last_time) gap_.last_time = record.time;
  gap_.bytes += record.length;
  const uint16_t type = record.type();
  if (record.overwritten) {
    miss_overwritten(record);
  } else {
    ++gap_.events;
    ++gap_.by_type[type % max_record_types];
    if (type == record_type_loss) {
      lost_announcements_ = true;
      figures_next_ = 0;
    }
  }
}

// The reader's own LOSS record, which is no record of a ring: what it would have told of.
void client_stream::miss_overwritten(const record_view<native_seam>& record) {
  loss_payload told;
  copy_bytes(&told, record.payload(), sizeof told);
  gap_.events += told.events;
  for (uint32_t i = 0; i < told.entry_count && i < max_record_types; ++i) {
    loss_entry entry;
    copy_bytes(&entry, record.payload() + sizeof told + i * sizeof entry, sizeof entry);
    gap_.by_type[entry.type % max_record_types] += entry.events;
  }
}

void client_stream::begin_epoch(const epoch_news& news) {
  epoch_ = news;
  epoch_begun_ = true;
}

void client_stream::hand_over(const figures_source& figures) {
  tell(figures);
  if (ready_ != nullptr && !empty()) KeSetEvent(ready_, IO_NO_INCREMENT, FALSE);
}

bool client_stream::settle_flush(const figures_source& figures) {
  if (flush_ != flush::due) return false;
  tell(figures);
  if (has_news() || figures_next_ != nothing) return false;
  if (open_ && writer_.record_count() != 0) seal();
  if (!open_slot()) return false;
  figures.tell_unannounced(figures.context, writer_);
  flush_ = flush::none;
  seal();
  return true;
}

bool client_stream::can_settle_flush(const figures_source& figures) {
  if (flush_ != flush::due || !created()) return false;
  tell(figures);
  return !empty() || figures_next_ == nothing;
}

void client_stream::settle_flush_with_oldest(const figures_source& figures) {
  if (empty() && open_slot()) {
    figures.tell_unannounced(figures.context, writer_);
    seal();
  }
  flush_ = flush::none;
}

client_stream::batch client_stream::take() {
  if (taken_) return {nullptr, 0};
  if (sealed_ == 0) {
    if (!open_ || writer_.record_count() == 0) return {nullptr, 0};
    seal();
  }
  taken_ = true;
  const uint32_t index = first_ % batch_count;
  return {slot(index), lengths_[index]};
}

bool client_stream::given_back(bool delivered) {
  taken_ = false;
  if (!delivered) return false;
  const uint32_t index = first_ % batch_count;
  delivered_ += records_[index];
  ++delivered_batches_;
  ++first_;
  --sealed_;
  const bool waited_for = refused_ || flush_requested() || has_news() || figures_next_ != nothing;
  refused_ = false;
  return waited_for;
}

protocol::client_row client_stream::row() const {
  protocol::client_row row{};
  copy_bytes(row.name, wishes_.name, sizeof row.name);
  row.types = wishes_.types;
  row.pid = wishes_.pid;
  row.waiting_batches = sealed_;
  row.waiting = waiting();
  row.offered = offered_;
  row.delivered = delivered_;
  row.lost = lost_;
  row.delivered_batches = delivered_batches_;
  row.failed_sends = failed_sends_;
  return row;
}

uint64_t client_stream::waiting() const {
  uint64_t records = open_ ? open_records_ : 0;
  for (uint32_t i = 0; i < sealed_; ++i) records += records_[(first_ + i) % batch_count];
  return records;
}

bool client_stream::open_slot() {
  if (open_) return true;
  if (!created() || sealed_ == batch_count) return false;
  writer_.begin(slot(first_ + sealed_), batch_bytes, boot_, frequency_);
  open_records_ = 0;
  open_ = true;
  return true;
}

void client_stream::seal() {
  const uint32_t index = (first_ + sealed_) % batch_count;
  lengths_[index] = writer_.finish();
  records_[index] = open_records_;
  open_ = false;
  writer_ = batch_writer();
  ++sealed_;
}

// Each: true if there is nothing of the kind that was not told.
bool client_stream::tell_gap() {
  if (gap_.events == 0) return true;
  if (!writer_.add_client_loss({gap_.first_time, gap_.last_time, gap_.bytes, gap_.events, 0, 0}, gap_.by_type)) {
    return false;
  }
  gap_ = {};
  return true;
}

bool client_stream::tell_epoch() {
  if (!epoch_begun_) return true;
  if (!epoch_.add_to(writer_)) return false;
  epoch_begun_ = false;
  return true;
}

// In the order of their times: the record of a gap has that of its end.
bool client_stream::tell_news() {
  if (!has_news()) [[likely]] return true;
  const bool gap_first = gap_.last_time < epoch_.time;
  return gap_first ? tell_gap() && tell_epoch() : tell_epoch() && tell_gap();
}

// What can be told now, also if no record follows.
void client_stream::tell(const figures_source& figures) {
  if (has_news() && open_slot() && !tell_news()) {
    seal();
    if (open_slot()) (void)tell_news();
  }
  tell_figures(figures);
}

void client_stream::tell_figures(const figures_source& from) {
  if (figures_next_ >= from.cpus) return;
  for (uint32_t look = 0; look < 2 && !has_news() && open_slot(); ++look) {
    while (figures_next_ < from.cpus && from.tell(from.context, figures_next_, writer_)) ++figures_next_;
    if (figures_next_ == from.cpus) {
      figures_next_ = nothing;
      return;
    }
    if (look == 0 && writer_.record_count() != 0) seal();
  }
}

}  // namespace sluice
