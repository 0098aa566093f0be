#include "consumers/client/c_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "consumers/client/c_guard.h"

using sluice::guarded;

namespace {

void put(std::string_view what, char* text, size_t text_bytes) {
  if (text == nullptr || text_bytes == 0) return;
  const size_t length = std::min(what.size(), text_bytes - 1);
  std::memcpy(text, what.data(), length);
  text[length] = 0;
}

sluice_record as_c(const sluice::delivered_record& record) {
  sluice_record out{};
  out.boot = record.identity.boot;
  out.position = record.identity.position;
  out.time = record.time;
  out.payload = record.payload;
  out.payload_bytes = record.payload_length;
  out.type = record.type;
  out.cpu = record.identity.cpu;
  out.lane = record.identity.lane;
  out.version = record.version;
  out.flags = static_cast<uint8_t>((record.late ? SLUICE_LATE : 0) | (record.figures ? SLUICE_FIGURES : 0) |
                                   (record.of_stream ? SLUICE_STREAM : 0) | (record.overwritten ? SLUICE_OVERWRITTEN : 0) |
                                   (record.client_loss ? SLUICE_CLIENT_LOSS : 0));
  return out;
}

int as_c(sluice::client_outcome outcome) {
  switch (outcome) {
    case sluice::client_outcome::events: return SLUICE_EVENTS;
    case sluice::client_outcome::timeout: return SLUICE_TIMEOUT;
    case sluice::client_outcome::flushed: return SLUICE_FLUSHED;
    case sluice::client_outcome::cancelled: return SLUICE_CANCELLED;
    case sluice::client_outcome::away: return SLUICE_AWAY;
    case sluice::client_outcome::restored: return SLUICE_RESTORED;
  }
  return -1;
}

static_assert(SLUICE_AUTOMATIC == static_cast<int>(sluice::transport::automatic) &&
              SLUICE_PORT == static_cast<int>(sluice::transport::port) &&
              SLUICE_IOCTL == static_cast<int>(sluice::transport::ioctl) &&
              SLUICE_MAPPING == static_cast<int>(sluice::transport::mapping));
static_assert(SLUICE_LATE == sluice::batch_flag_late && SLUICE_FIGURES == sluice::batch_flag_figures &&
              SLUICE_STREAM == sluice::batch_flag_stream && SLUICE_OVERWRITTEN == sluice::batch_flag_overwritten &&
              SLUICE_CLIENT_LOSS == sluice::batch_flag_client_loss);

}  // namespace

namespace sluice {

sluice_client* as_c_client(std::unique_ptr<client> of) {
  auto made = std::make_unique<sluice_client>();
  made->client = std::move(of);
  return made.release();
}

}  // namespace sluice

extern "C" {

sluice_client* sluice_open(const sluice_options* options) {
  sluice_client* opened = nullptr;
  (void)guarded([&] {
    if (options == nullptr || options->name == nullptr) throw sluice::source_error("no name of a kernel to connect to");
    if (options->transport < SLUICE_AUTOMATIC || options->transport > SLUICE_MAPPING) {
      throw sluice::source_error(fmt::format("there is no transport {}", options->transport));
    }
    sluice::client_options what;
    what.name = options->name;
    what.by = static_cast<sluice::transport>(options->transport);
    what.types = options->types;
    what.without_own_process = options->without_own_process != 0;
    what.reconnects = options->reconnects != 0;
    if (options->client_name != nullptr) what.client_name = options->client_name;
    opened = sluice::as_c_client(std::make_unique<sluice::client>(std::move(what)));
    return 0;
  });
  return opened;
}

void sluice_close(sluice_client* client) { delete client; }

const char* sluice_error(void) { return sluice::the_error.c_str(); }

int sluice_read(sluice_client* client, int64_t timeout_nanoseconds, const sluice_record** records, size_t* count) {
  *records = nullptr;
  *count = 0;
  return guarded([&] {
    const sluice::client_timeout timeout =
        timeout_nanoseconds < 0 ? sluice::client_timeout() : std::chrono::nanoseconds(timeout_nanoseconds);
    client->records.clear();
    for (const sluice::delivered_record& each : client->client->read(timeout)) client->records.push_back(as_c(each));
    client->note_interruptions();
    *records = client->records.data();
    *count = client->records.size();
    return as_c(client->client->last());
  });
}

int sluice_cancel(sluice_client* client) {
  return guarded([&] {
    client->client->cancel();
    return 0;
  });
}

int sluice_flush(sluice_client* client) {
  return guarded([&] {
    client->client->flush();
    return 0;
  });
}

int sluice_set_types(sluice_client* client, uint64_t types) {
  return guarded([&] {
    client->client->set_types(types);
    return 0;
  });
}

int sluice_set_filter(sluice_client* client, const void* message, size_t bytes, uint32_t* error, uint32_t* offset) {
  return guarded([&] {
    const sluice::filter_answer answer = client->client->set_filter({static_cast<const uint8_t*>(message), bytes});
    if (error != nullptr) *error = answer.error;
    if (offset != nullptr) *offset = answer.offset;
    return answer.error == 0 ? 0 : 1;
  });
}

int sluice_clear_filter(sluice_client* client) {
  return guarded([&] {
    (void)client->client->clear_filter();
    return 0;
  });
}

int sluice_account_of(sluice_client* client, sluice_account* account) {
  return guarded([&] {
    client->note_interruptions();
    const sluice::accounting& from = client->client->account();
    *account = {from.received_records(), from.duplicates(),      from.late_records(),
                from.announced_events(), from.overwritten_events(), from.missed_events(),
                client->interruptions,   client->client->missed_bytes(), client->other_streams};
    return 0;
  });
}

int sluice_check(sluice_client* client, int since_load, char* text, size_t text_bytes) {
  return guarded([&] {
    const std::vector<std::string> broken = client->client->check(since_load != 0);
    std::string lines;
    for (const std::string& each : broken) lines += each + "\n";
    put(lines, text, text_bytes);
    return static_cast<int>(broken.size());
  });
}

int sluice_type_name(sluice_client* client, uint16_t type, char* text, size_t text_bytes) {
  return guarded([&] {
    put(client->client->names().name_of(type), text, text_bytes);
    return 0;
  });
}

int sluice_utc(sluice_client* client, uint64_t time, uint64_t* utc) {
  return guarded([&] {
    const std::optional<uint64_t> known = client->client->clock().utc(time);
    if (!known) throw sluice::source_error("the stream's clock is not known yet");
    *utc = *known;
    return 0;
  });
}

}  // extern "C"
