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
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "consumers/batch_reader.h"
#include "consumers/client/client.h"
#include "consumers/nt/windows_request.h"
#include "consumers/nt/windows_system.h"
#include "kernel_port/wine/load_control.h"

namespace {

using namespace sluice;
using namespace sluice::wine;
using namespace std::chrono_literals;

constexpr uint32_t events_in_one_section = 2048;

void require(bool holds, std::string_view what) {
  if (!holds) throw std::runtime_error(std::string(what));
}

std::unique_ptr<nt_device> open_device(std::u16string_view name) {
  std::unique_ptr<nt_device> opened;
  require(windows_system()->open_device(name, opened) == nt::success, "a device cannot be opened");
  return opened;
}

// Bytes of the answer.
uint64_t ask(nt_device& device, uint32_t code, std::span<const uint8_t> in, std::span<uint8_t> out) {
  uint64_t bytes = 0;
  require(device.control(code, in, out, bytes, std::nullopt) == nt::success, "a request was refused");
  return bytes;
}

// load.sys, which writes by its thread from write() until stop().
class load {
 public:
  ~load() { order(0); }
  void write() { order(~uint64_t{0}); }
  void stop() { order(0); }
  load_figures figures() {
    load_figures now{};
    require(ask(*device_, load_code_figures, {}, {reinterpret_cast<uint8_t*>(&now), sizeof now}) == sizeof now, "load.sys gives no figures");
    return now;
  }

 private:
  void order(uint64_t count) {
    const load_order what{load_thread, events_in_one_section, 0, 0, count};
    (void)ask(*device_, load_code_order, {reinterpret_cast<const uint8_t*>(&what), sizeof what}, {});
  }

  std::unique_ptr<nt_device> device_ = open_device(u"SluiceLoad");
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

// A read that may pend. It is over when it is destroyed.
class pended_read {
 public:
  explicit pended_read(HANDLE of) : of_(of), event_(::CreateEventW(nullptr, TRUE, FALSE, nullptr)) {
    require(event_ != nullptr, "there is no event");
    state_.hEvent = event_.get();
    begin();
  }
  ~pended_read() {
    DWORD bytes = 0;
    if (pends_ && ::CancelIoEx(of_, &state_)) (void)::GetOverlappedResult(of_, &state_, &bytes, TRUE);
  }
  pended_read(const pended_read&) = delete;
  pended_read& operator=(const pended_read&) = delete;

  void begin() {
    require(::ReadFile(of_, buffer_.data(), static_cast<DWORD>(buffer_.size()), nullptr, &state_) || ::GetLastError() == ERROR_IO_PENDING,
            "a read was refused");
    pends_ = true;
  }
  std::span<const uint8_t> finish() {
    DWORD bytes = 0;
    require(::GetOverlappedResult(of_, &state_, &bytes, TRUE), "a read failed");
    pends_ = false;
    return std::span(buffer_).first(bytes);
  }

 private:
  HANDLE of_;
  unique_handle event_;
  OVERLAPPED state_{};
  bool pends_ = false;
  std::vector<uint8_t> buffer_ = std::vector<uint8_t>(256 * 1024);
};

class pended_reads : public batches {
 public:
  void take(checker& to) override { (void)take_one(to); }
  void take_rest(checker& to) override {
    do {
      (void)ask(*control_, protocol::code_flush, {}, {});
    } while (take_one(to));
  }

 private:
  static HANDLE open_for_reading() {
    const HANDLE file =
        ::CreateFileW(L"\\\\.\\Sluice", GENERIC_READ | GENERIC_WRITE, 0, nullptr, OPEN_EXISTING, FILE_FLAG_OVERLAPPED, nullptr);
    require(file != INVALID_HANDLE_VALUE, "the device cannot be opened");
    return file;
  }

  // False: nothing was ready but figures.
  bool take_one(checker& to) {
    pended_read& oldest = reads_[next_++ % std::size(reads_)];
    batch_reader batch(oldest.finish());
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

  unique_handle file_{open_for_reading()};
  std::unique_ptr<nt_device> control_ = open_device(u"Sluice");
  pended_read reads_[4]{pended_read(file_.get()), pended_read(file_.get()), pended_read(file_.get()), pended_read(file_.get())};
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
