#include "kernel_port/driver/distribution.h"

namespace sluice {

void distribution::start(KEVENT* room) {
  ExInitializeFastMutex(&mutex_);
  room_ = room;
}

bool distribution::add(client_stream& client) {
  const lock held(*this);
  return add_locked(client);
}

void distribution::remove(client_stream& client) {
  const lock held(*this);
  remove_locked(client);
}

bool distribution::add_locked(client_stream& client) {
  if (count_ == max_clients) return false;
  clients_[count_++] = &client;
  KeSetEvent(room_, IO_NO_INCREMENT, FALSE);
  return true;
}

void distribution::remove_locked(client_stream& client) {
  for (uint32_t i = 0; i < count_; ++i) {
    if (clients_[i] != &client) continue;
    clients_[i] = clients_[--count_];
    const protocol::client_row row = client.row();
    ++gone_.gone_clients;
    gone_.gone_offered += row.offered;
    gone_.gone_delivered += row.delivered;
    gone_.gone_lost += row.lost;
    gone_.gone_undelivered += row.waiting;
    KeSetEvent(room_, IO_NO_INCREMENT, FALSE);  // who wanted what waits may be another one now
    return;
  }
}

void distribution::request_flush(client_stream& client) {
  const lock held(*this);
  client.request_flush();
  KeSetEvent(room_, IO_NO_INCREMENT, FALSE);
}

// What nobody wanted so far and holds the stream back now, or the other way round, is looked at again.
void distribution::set_types(client_stream& client, uint64_t types) {
  const lock held(*this);
  client.set_types(types);
  KeSetEvent(room_, IO_NO_INCREMENT, FALSE);
}

client_filter* distribution::set_filter(client_stream& client, client_filter* next) {
  const lock held(*this);
  client_filter* const former = client.set_filter(next);
  KeSetEvent(room_, IO_NO_INCREMENT, FALSE);
  return former;
}

NTSTATUS distribution::read_filter(client_stream& client, void* buffer, uint32_t size, uint32_t& written) {
  const lock held(*this);
  if (client.filter() != nullptr) return client.filter()->read(buffer, size, written);
  const filter_state none{};
  if (size < sizeof none) return STATUS_BUFFER_TOO_SMALL;
  copy_bytes(buffer, &none, sizeof none);
  written = sizeof none;
  return STATUS_SUCCESS;
}

protocol::client_row distribution::row(const client_stream& client) {
  const lock held(*this);
  return client.row();
}

client_stream::batch distribution::take(client_stream& client) {
  const lock held(*this);
  return client.take();
}

void distribution::given_back(client_stream& client, bool delivered) {
  const lock held(*this);
  if (client.given_back(delivered)) KeSetEvent(room_, IO_NO_INCREMENT, FALSE);
}

void distribution::count_failed_send(client_stream& client) {
  const lock held(*this);
  client.count_failed_send();
}

bool distribution::accept(const record_view<native_seam>& record) {
  bool taken = false;
  bool wanted = false;
  client_stream* refused[max_clients];
  uint32_t refusals = 0;
  for (uint32_t i = 0; i < count_; ++i) {
    switch (clients_[i]->offer(record)) {
      case client_stream::offer_result::taken: taken = wanted = true; break;
      case client_stream::offer_result::no_room: refused[refusals++] = clients_[i]; wanted = true; break;
      case client_stream::offer_result::not_wanted: break;
    }
  }
  if (count_ == 0 || (wanted && !taken)) return false;
  for (uint32_t i = 0; i < refusals; ++i) refused[i]->lose(record);
  return true;
}

void distribution::begin_epoch(const client_stream::epoch_news& news) {
  for (uint32_t i = 0; i < count_; ++i) clients_[i]->begin_epoch(news);
}

void distribution::hand_over(const figures_source& figures) {
  for (uint32_t i = 0; i < count_; ++i) clients_[i]->hand_over(figures);
}

bool distribution::settle_flushes(const figures_source& figures) {
  bool settled = false;
  for (uint32_t i = 0; i < count_; ++i) {
    if (!clients_[i]->takes_by_request()) settled |= clients_[i]->settle_flush(figures);
  }
  return settled;
}

bool distribution::begin_flushes(uint64_t now) {
  bool any_begun = false;
  for (uint32_t i = 0; i < count_; ++i) any_begun |= clients_[i]->begin_flush(now);
  return any_begun;
}

void distribution::note_pass(bool complete, uint64_t reached) {
  for (uint32_t i = 0; i < count_; ++i) clients_[i]->note_pass(complete, reached);
}

NTSTATUS distribution::copy_rows(NTSTATUS port_status, void* out, uint32_t size, uint32_t& written) {
  if (size < sizeof(protocol::clients_header)) return STATUS_BUFFER_TOO_SMALL;
  const lock held(*this);
  protocol::clients_header header = gone_;
  header.version = protocol::version;
  header.row_count = count_;
  header.port_status = port_status;
  copy_bytes(out, &header, sizeof header);
  uint8_t* const base = static_cast<uint8_t*>(out);
  written = sizeof header;
  for (uint32_t i = 0; i < count_ && size - written >= sizeof(protocol::client_row); ++i) {
    const protocol::client_row row = clients_[i]->row();
    copy_bytes(base + written, &row, sizeof row);
    written += sizeof row;
  }
  return written == sizeof header + count_ * sizeof(protocol::client_row) ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;
}

}  // namespace sluice
