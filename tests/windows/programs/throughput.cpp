// throughput.exe reads|ioctl|mapping MILLISECONDS: how many events of 64 bytes a second come while load.sys (kernel_port/wine/) writes as many
// as it can: with four reads pending; to the client library over the same requests, one at a time; to the client library from the rings
// themselves. load.sys was loaded for this run alone.
//
// Each event that comes is checked, and each that does not must be told: a rate of events that are lost in silence would be none.
// Prints: events, microseconds from the first batch to the last, batches, events that found no room. Ends with 2 if something is wrong, and
// says what.
#include <windows.h>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string_view>

#include "consumers/batch_reader.h"
#include "consumers/client/client.h"
#include "kernel_port/wine/load_control.h"

namespace {

using namespace sluice;
using namespace sluice::wine;
using namespace std::chrono_literals;

constexpr uint32_t events_in_one_section = 2048;

void require(bool holds, std::string_view what) {
  if (!holds) throw std::runtime_error(std::string(what));
}

class device {
 public:
  explicit device(const wchar_t* path)
      : handle_(::CreateFileW(path, GENERIC_READ | GENERIC_WRITE, 0, nullptr, OPEN_EXISTING, FILE_FLAG_OVERLAPPED, nullptr)) {
    require(handle_ != INVALID_HANDLE_VALUE, "a device cannot be opened");
  }
  ~device() { ::CloseHandle(handle_); }
  device(const device&) = delete;
  device& operator=(const device&) = delete;
  HANDLE get() const { return handle_; }

 private:
  HANDLE handle_;
};

// A request that may pend. It is over when it is destroyed.
class request {
 public:
  explicit request(const device& on) : on_(on.get()) {
    state_.hEvent = ::CreateEventW(nullptr, TRUE, FALSE, nullptr);
    require(state_.hEvent != nullptr, "there is no event");
  }
  ~request() {
    if (begun_ && ::CancelIoEx(on_, &state_)) (void)finish();
    ::CloseHandle(state_.hEvent);
  }
  request(const request&) = delete;
  request& operator=(const request&) = delete;

  void read(void* to, DWORD bytes) { begin(::ReadFile(on_, to, bytes, nullptr, &state_)); }
  void control(DWORD code, void* in, DWORD in_bytes, void* out, DWORD out_bytes) {
    begin(::DeviceIoControl(on_, code, in, in_bytes, out, out_bytes, nullptr, &state_));
  }
  // Bytes.
  DWORD finish() {
    DWORD bytes = 0;
    begun_ = false;
    require(::GetOverlappedResult(on_, &state_, &bytes, TRUE) || ::GetLastError() == ERROR_OPERATION_ABORTED, "a request failed");
    return bytes;
  }

 private:
  void begin(BOOL done) {
    require(done || ::GetLastError() == ERROR_IO_PENDING, "a request was refused");
    begun_ = true;
  }

  HANDLE on_;
  OVERLAPPED state_{};
  bool begun_ = false;
};

// load.sys, which writes by its thread from write() until stop().
class load {
 public:
  ~load() { order(0); }
  void write() { order(~uint64_t{0}); }
  void stop() { order(0); }
  load_figures figures() {
    load_figures now{};
    request asked(device_);
    asked.control(load_code_figures, nullptr, 0, &now, sizeof now);
    require(asked.finish() == sizeof now, "load.sys gives no figures");
    return now;
  }

 private:
  void order(uint64_t count) {
    load_order what{load_thread, events_in_one_section, 0, 0, count};
    request asked(device_);
    asked.control(load_code_order, &what, sizeof what, nullptr, 0);
    (void)asked.finish();
  }

  device device_{L"\\\\.\\SluiceLoad"};
};

// Takes what was read: every event of load.sys is whole, comes once, and in order.
class checker {
 public:
  void take(const delivered_record& record) {
    if (record.type == record_type_loss) {
      take_loss(record);
    } else if (record.type >= first_own_type) {
      load_event event;
      require(record.payload_length == sizeof event, "an event of another length");
      std::memcpy(&event, record.payload, sizeof event);
      require(event.check == load_check(event) && event.source == load_thread, "an event of load.sys is damaged");
      require(event.sequence >= next_, "an event of load.sys comes twice, or out of order");
      next_ = event.sequence + 1;
      ++events_;
    }
  }
  uint64_t events() const { return events_; }
  uint64_t told_losses() const {
    uint64_t sum = 0;
    for (const auto& [cpu, told] : told_) sum += std::max(told.by_records, told.by_figures);
    return sum;
  }

 private:
  struct told_by {
    uint64_t by_records = 0;
    uint64_t by_figures = 0;  // since load; what no record follows
  };

  // Of the events of load.sys: by type.
  void take_loss(const delivered_record& record) {
    loss_payload loss;
    require(record.payload_length >= sizeof loss, "a LOSS record is too short");
    std::memcpy(&loss, record.payload, sizeof loss);
    require(record.payload_length >= sizeof loss + loss.entry_count * sizeof(loss_entry), "a LOSS record is too short");
    uint64_t events = 0;
    for (uint32_t i = 0; i < loss.entry_count; ++i) {
      loss_entry entry;
      std::memcpy(&entry, record.payload + sizeof loss + i * sizeof entry, sizeof entry);
      if (entry.type >= first_own_type) events += entry.events;
    }
    told_by& told = told_[record.identity.cpu];
    if (record.figures) {
      told.by_figures = events;
    } else {
      told.by_records += events;
    }
  }

  uint64_t next_ = 0;
  uint64_t events_ = 0;
  std::map<uint16_t, told_by> told_;
};

class batches {
 public:
  virtual ~batches() = default;
  virtual void take(checker& to) = 0;       // the next one; it waits for it
  virtual void take_rest(checker& to) = 0;  // nothing is written any more
};

class pended_reads : public batches {
 public:
  pended_reads() {
    for (read& each : reads_) each.begin();
  }
  void take(checker& to) override { (void)take_one(to); }
  void take_rest(checker& to) override {
    do {
      request flush(device_);
      flush.control(protocol::code_flush, nullptr, 0, nullptr, 0);
      (void)flush.finish();
    } while (take_one(to));
  }

 private:
  struct read {
    explicit read(const device& from) : buffer(256 * 1024), pending(from) {}
    void begin() { pending.read(buffer.data(), static_cast<DWORD>(buffer.size())); }
    std::vector<uint8_t> buffer;
    request pending;
  };

  // False: nothing was ready but figures.
  bool take_one(checker& to) {
    read& oldest = reads_[next_++ % std::size(reads_)];
    batch_reader batch(std::span(oldest.buffer).first(oldest.pending.finish()));
    bool any = false;
    delivered_record record;
    while (batch.next(record) == batch_status::ok) {
      any |= !record.figures;
      to.take(record);
    }
    require(batch.status() == batch_status::end, "a batch is damaged");
    oldest.begin();
    return any;
  }

  device device_{L"\\\\.\\Sluice"};
  read reads_[4]{read(device_), read(device_), read(device_), read(device_)};
  uint32_t next_ = 0;
};

class library : public batches {
 public:
  explicit library(transport by) : client_({.by = by}) {}
  void take(checker& to) override {
    for (const delivered_record& each : client_.read(60s)) to.take(each);
  }
  void take_rest(checker& to) override {
    client_.flush();
    do {
      take(to);
      require(client_.last() != client_outcome::timeout, "the stream does not come to its end");
    } while (client_.last() != client_outcome::flushed);
    for (const std::string& fault : client_.take_faults()) require(false, fault);
  }

 private:
  client client_;
};

std::unique_ptr<batches> open(std::string_view name) {
  if (name == "reads") return std::make_unique<pended_reads>();
  if (name == "ioctl") return std::make_unique<library>(transport::ioctl);
  if (name == "mapping") return std::make_unique<library>(transport::mapping);
  throw std::runtime_error("neither reads nor ioctl nor mapping");
}

void measure(std::string_view name, std::chrono::milliseconds length) {
  using clock = std::chrono::steady_clock;
  const std::unique_ptr<batches> from = open(name);
  checker seen;
  load writer;
  writer.write();
  from->take(seen);  // what came until here took no time that is counted
  while (seen.events() == 0) from->take(seen);
  const uint64_t events_before = seen.events();
  const clock::time_point begun = clock::now();
  clock::time_point now = begun;
  uint64_t count = 0;
  for (; now - begun < length; now = clock::now(), ++count) from->take(seen);
  const uint64_t events = seen.events() - events_before;
  writer.stop();
  from->take_rest(seen);
  const load_figures figures = writer.figures();
  require(seen.events() == static_cast<uint64_t>(figures.written), "not every event that was written has come");
  require(seen.told_losses() == static_cast<uint64_t>(figures.dropped), "not every event that found no room was told");
  fmt::print("{} {} {} {}\n", events, std::chrono::duration_cast<std::chrono::microseconds>(now - begun).count(), count,
             figures.dropped);
}

}  // namespace

int main(int count, char** arguments) {
  try {
    require(count == 3, "throughput.exe reads|ioctl|mapping MILLISECONDS");
    measure(arguments[1], std::chrono::milliseconds(std::stoul(arguments[2])));
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 2;
  }
}
