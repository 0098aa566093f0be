// A point of the curve over a transport: generator and driver in another process, the client here.
#include <sched.h>
#include <unistd.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>

#include "bench/curve/cell.h"
#include "bench/curve/latency.h"
#include "bench/curve/load_file.h"
#include "bench/transport/client_source.h"
#include "bench/transport/load_driver.h"
#include "bench/transport/load_process.h"
#include "consumers/batch_reader.h"
#include "pipeline/loss.h"

namespace sluice::bench {
namespace {

constexpr uint64_t tick = 100;  // nanoseconds: the simulated kernel's counter
constexpr std::chrono::milliseconds patience{10};
constexpr uint64_t give_up_after = 30'000'000'000;

// The host with rings of that size.
load_process& host_with(uint64_t ring_bytes) {
  static std::unique_ptr<load_process> host;
  static uint64_t its_bytes = 0;
  if (!host || its_bytes != ring_bytes) {
    host.reset();
    host = std::make_unique<load_process>(ring_bytes);
    its_bytes = ring_bytes;
  }
  return *host;
}

void use_all_processors() {
  cpu_set_t all;
  std::memset(&all, 0xff, sizeof all);
  sched_setaffinity(0, sizeof all, &all);
}

uint64_t word_at(const uint8_t* payload, size_t index) {
  uint64_t word;
  std::memcpy(&word, payload + index * sizeof word, sizeof word);
  return word;
}

bool is_load(const delivered_record& record) { return record.type >= first_own_type && !record.of_stream; }

// How many records of the load came. `event` is called with each.
template <class action>
size_t read_batch(std::span<const uint8_t> bytes, curve_arrivals& seen, std::string& failure, action&& event) {
  size_t count = 0;
  batch_reader batch(bytes);
  for (delivered_record record; batch.next(record) == batch_status::ok;) {
    if (record.client_loss) failure = "the client, alone, has missed records";
    if (is_load(record)) {
      seen.event(word_at(record.payload, 0));
      event(record);
      ++count;
    } else if (record.type == record_type_loss && !record.figures && !record.client_loss) {
      loss_payload loss;
      std::memcpy(&loss, record.payload, sizeof loss);
      seen.loss(loss.first_time * tick, loss.last_time * tick, loss.events);
    }
  }
  if (batch.status() != batch_status::end) failure = "a batch is damaged";
  return count;
}

class scratch_file {
 public:
  scratch_file() : path_(std::filesystem::temp_directory_path() / fmt::format("sluice-curve-{}.load", ::getpid())) {}
  ~scratch_file() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  std::string path() const { return path_; }

 private:
  std::filesystem::path path_;
};

cell_result measure(const cell& asked) {
  cell_result result;
  load_process& host = host_with(asked.ring_bytes);
  const std::unique_ptr<event_source> source = open_source(asked.design, host.name());
  std::vector<uint8_t> buffer(client_buffer);
  const scratch_file file;
  curve_arrivals seen;
  host.send(fmt::format("offer {} {} {} {}", asked.rate, asked.length, file.path(), asked.shape->file));
  const uint64_t begin = monotonic_nanoseconds();
  consumer_gait gait(asked.consumer, asked.rate);
  bool done = false;
  uint64_t room = 0;
  while (!done || seen.next() != result.load.attempted) {
    const uint64_t now = monotonic_nanoseconds();
    if (now - begin > asked.length) gait.hurry();
    if (now - begin > give_up_after) {
      result.failure = "events are missing after 30 s";
      break;
    }
    gait.between(now);
    const read_result got = source->read(buffer, patience);
    if (got.status == read_status::batch) {
      const uint64_t since = monotonic_nanoseconds();
      gait.after(read_batch({buffer.data(), got.bytes}, seen, result.failure, [](const delivered_record&) {}), since);
    }
    if (!done && host.answered()) {
      (void)host.answer();
      result.load = read_load(file.path(), room);
      done = true;
      if (!result.load.closed) break;
    }
  }
  result.stalls = gait.stalls();
  if (done) settle(result, seen, {room, record_stride(record_header_size + load_payload_bytes), tick});
  return result;
}

}  // namespace

cell_result measure_transport(const cell& asked) {
  use_all_processors();
  try {
    return measure(asked);
  } catch (const std::exception& error) {
    cell_result failed;
    failed.failure = error.what();
    return failed;
  }
}

latency_result measure_latency(const std::string& transport, uint64_t rate, uint64_t events) {
  use_all_processors();
  load_process& host = host_with(1 << 20);
  const std::unique_ptr<event_source> source = open_source(transport, host.name());
  std::vector<uint8_t> buffer(client_buffer);
  latency_result result;
  curve_arrivals seen;
  std::string failure;
  host.send(fmt::format("pace {} {}", rate, events));
  const uint64_t give_up = monotonic_nanoseconds() + give_up_after + events * 1'000'000'000 / rate;
  while (seen.received() < events && monotonic_nanoseconds() < give_up) {
    const read_result got = source->read(buffer, std::chrono::seconds(1));
    if (got.status != read_status::batch) continue;
    const uint64_t now = monotonic_nanoseconds();
    read_batch({buffer.data(), got.bytes}, seen, failure, [&](const delivered_record& record) {
      const uint64_t made = record.time * tick;
      const uint64_t due = word_at(record.payload, 1);
      result.from_callback.add(now > made ? now - made : 0);
      result.from_due.add(now > due ? now - due : 0);
    });
  }
  if (host.answer() != 0 || seen.received() != events || !failure.empty()) {
    throw std::runtime_error(fmt::format("{}: {} of {} events came {}", transport, seen.received(), events, failure));
  }
  return result;
}

}  // namespace sluice::bench
