// What the pipeline's tests share: memory for a region, a clock that a test moves, one CPU with both lanes, and a sink that
// keeps what it was given. Test threads only.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "pipeline/cpu_rings.h"
#include "pipeline/merge.h"

namespace sluice::test {

inline constexpr uint64_t boot = 0x1122334455667788;
inline constexpr uint64_t frequency = 1000000000;

// The smallest geometries: every test wraps them many times.
inline constexpr ring_geometry small_main{4096, max_loss_record, 1024};
inline constexpr ring_geometry small_spare{4096, max_loss_record, 0};

inline constexpr uint16_t ordinary_type = 40;
inline constexpr uint16_t critical_type = 41;
inline constexpr uint64_t critical_types = uint64_t{1} << critical_type;

// Records of any size: no ring of these tests holds so many. A loop that fills a ring ends here where it would not end.
inline constexpr uint32_t more_than_fit = 100'000;

// A clock that stands still until a test moves it. `on_read` runs at each reading, before the time is taken.
struct manual_time {
  uint64_t now = 1;
  uint64_t step = 0;  // added after each reading
  std::function<void()> on_read;
};
struct manual_clock {
  manual_time* time = nullptr;
  uint64_t now() {
    if (time->on_read) time->on_read();
    const uint64_t read = time->now;
    time->now += time->step;
    return read;
  }
};

// A barrier for tests of one thread: nothing to order, but a place to let something happen.
struct scripted_barrier {
  std::function<void()>* script = nullptr;
  void operator()() const {
    if (script != nullptr && *script) (*script)();
  }
};

// Zeroed pages with a page behind them that nobody may touch.
class region_memory {
 public:
  explicit region_memory(size_t bytes) : bytes_(bytes) {
    base_ = mmap(nullptr, bytes_ + region_page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base_ == MAP_FAILED || mprotect(base_, bytes_, PROT_READ | PROT_WRITE) != 0) {
      throw std::runtime_error("no memory for a region");
    }
  }
  ~region_memory() { munmap(base_, bytes_ + region_page); }
  region_memory(const region_memory&) = delete;
  region_memory& operator=(const region_memory&) = delete;

  void* get() const { return base_; }
  size_t bytes() const { return bytes_; }

 private:
  void* base_;
  size_t bytes_;
};

// One lane: its memory and the view of it.
struct lane {
  lane(const ring_geometry& geometry, uint16_t cpu, uint8_t number, uint32_t start_position,
       ring_mode mode = ring_mode::discard)
      : memory(region_bytes(geometry)),
        view(create_region(memory.get(), geometry, {boot, frequency, cpu, number, start_position}, mode)) {
    if (check_geometry(geometry) != region_status::ok) throw std::logic_error("the test's geometry does not hold");
  }
  uint32_t published() const { return view.producer->published.load(memory_order::acquire); }
  uint32_t consumed() const { return view.consumer->consumed.load(memory_order::acquire); }
  void claim(uint32_t position) const { view.consumer->consumed.store(position, memory_order::release); }
  const record_header& header_at(uint32_t position) const {
    return *reinterpret_cast<const record_header*>(view.data.bytes(position & (view.geometry.capacity - 1)));
  }

  region_memory memory;
  region_view<native_seam> view;
};

struct cpu_options {
  ring_geometry main = small_main;
  ring_geometry spare = small_spare;
  uint16_t cpu = 0;
  uint32_t start_position = 0;
  uint64_t critical = critical_types;
  uint64_t step_back = ~uint64_t{0};  // the clock is taken not to
  ring_mode mode = ring_mode::discard;
};

// What a reader of an overwriting ring copies to.
class copy_memory {
 public:
  explicit copy_memory(uint32_t bytes) : words_(bytes / sizeof(uint64_t)) {}
  native_seam::memory get() { return native_seam::memory(reinterpret_cast<uint8_t*>(words_.data())); }

 private:
  std::vector<uint64_t> words_;
};

using record = open_record<native_seam>;
using reader = ring_reader<native_seam>;

// One CPU: two lanes and what writes to them.
template <class clock>
class basic_cpu {
 public:
  explicit basic_cpu(clock source, const cpu_options& options = {})
      : main(options.main, options.cpu, lane_main, options.start_position, options.mode),
        spare(options.spare, options.cpu, lane_spare, options.start_position, options.mode),
        rings(source) {
    rings.attach(main.view, spare.view, options.critical, options.step_back);
  }

  // An event whose payload begins with `value` and is `length` bytes long (at least 8), each byte determined by `value`.
  reserve_status write(uint64_t value, uint32_t length = 8, uint16_t type = ordinary_type) {
    std::vector<uint8_t> bytes(length);
    fill(bytes.data(), length, value);
    return rings.write(type, 1, bytes.data(), length);
  }
  reserve_status reserve(record& open, uint32_t length = 8, uint16_t type = ordinary_type) {
    return rings.reserve(type, 1, length, open);
  }
  static void fill(uint8_t* bytes, uint32_t length, uint64_t value) {
    for (uint32_t i = 8; i < length; ++i) bytes[i] = static_cast<uint8_t>(value * 31 + i);
    std::memcpy(bytes, &value, 8);
  }
  static void fill(const record& open, uint64_t value) { fill(open.payload(), open.payload_length(), value); }
  static void commit(const record& open, uint64_t value) {
    fill(open, value);
    open.close(record_state::committed);
  }

  // Both sides' account of a type: what the ledger has passed, and what a walk over the headers finds.
  account_row account(uint16_t type) {
    while (!rings.settle()) {
    }
    account_row row = rings.row(type);
    const auto where = rings.where();
    const lane* lanes[] = {&main, &spare};
    for (uint32_t i = 0; i < lanes_per_cpu; ++i) {
      reader walker;
      copy_memory copy(lanes[i]->view.geometry.max_record);
      walker.attach(lanes[i]->view, copy.get());
      const bool whole = walker.walk(where.reclaimed[i], where.written[i], [&](uint16_t found, const ring_head& head) {
        if (found != type) return;
        ++(head.state == head_state::committed   ? row.committed
           : head.state == head_state::discarded ? row.discarded
                                                 : row.open);
      });
      if (!whole) throw std::runtime_error("the walk found a damaged ring");
    }
    return row;
  }

  lane main;
  lane spare;
  cpu_rings<native_seam, clock> rings;
};
using test_cpu = basic_cpu<manual_clock>;

// A record as a consumer got it.
struct received {
  uint16_t type;
  uint16_t cpu;
  uint8_t lane;
  bool late;
  bool overwritten;
  uint64_t position;
  uint64_t time;
  std::vector<uint8_t> payload;

  uint64_t value() const {
    uint64_t first = 0;
    if (payload.size() >= 8) std::memcpy(&first, payload.data(), 8);
    return first;
  }
  // Whether every byte is what basic_cpu::fill wrote.
  bool intact() const {
    std::vector<uint8_t> expected(payload.size());
    if (payload.size() < 8) return false;
    test_cpu::fill(expected.data(), static_cast<uint32_t>(expected.size()), value());
    return expected == payload;
  }
  std::tuple<uint64_t, uint16_t, uint8_t, uint64_t> place() const { return {time, cpu, lane, position}; }
};

inline received receive(const record_view<native_seam>& seen) {
  return {seen.type(),   seen.cpu,  seen.lane, seen.late, seen.overwritten, seen.position, seen.time,
          std::vector<uint8_t>(seen.payload(), seen.payload() + seen.payload_length())};
}

// Keeps everything; refuses from the `limit`-th record on.
struct collector {
  std::vector<received> records;
  size_t limit = ~size_t{0};
  std::function<void(const received&)> on_record;
  std::vector<epoch_start> epochs;
  std::vector<size_t> epoch_places;  // how many records came before each
  bool refuses_epochs = false;

  bool begin_epoch(const epoch_start& start) {
    if (refuses_epochs) return false;
    epochs.push_back(start);
    epoch_places.push_back(records.size());
    return true;
  }
  bool operator()(const record_view<native_seam>& seen) {
    if (records.size() >= limit) return false;
    records.push_back(receive(seen));
    if (on_record) on_record(records.back());
    return true;
  }
  std::vector<uint64_t> values() const {
    std::vector<uint64_t> all;
    for (const received& r : records) all.push_back(r.value());
    return all;
  }
};

// A merge over the lanes of some CPUs, with the memory it needs.
template <class clock, class policy>
class basic_merge {
 public:
  basic_merge(clock source, policy order, const std::vector<const lane*>& lanes, merge_options options = {})
      : merged(source, order), readers(lanes.size()), heads(lanes.size()),
        nodes(tournament_nodes(static_cast<uint32_t>(lanes.size()))), copy(longest_of(lanes)) {
    for (size_t i = 0; i < lanes.size(); ++i) readers[i].attach(lanes[i]->view, copy.get());
    merged.attach(readers.data(), heads.data(), nodes.data(), static_cast<uint32_t>(lanes.size()), options);
  }
  pass_result pass(collector& sink) { return merged.pass(sink); }

  sluice::merge<native_seam, clock, policy> merged;
  std::vector<reader> readers;
  std::vector<ring_head> heads;
  std::vector<tournament_node> nodes;
  copy_memory copy;

 private:
  static uint32_t longest_of(const std::vector<const lane*>& lanes) {
    uint32_t longest = 0;
    for (const lane* each : lanes) longest = std::max(longest, each->view.geometry.max_record);
    return longest;
  }
};
using exact = exact_order<scripted_barrier>;
using exact_merge = basic_merge<manual_clock, exact>;
using slack_merge = basic_merge<manual_clock, slack_order>;

template <class cpu>
std::vector<const lane*> lanes_of(const std::vector<std::unique_ptr<cpu>>& cpus) {
  std::vector<const lane*> lanes;
  for (const auto& each : cpus) {
    lanes.push_back(&each->main);
    lanes.push_back(&each->spare);
  }
  return lanes;
}

struct decoded_loss {
  loss_payload fixed{};
  std::vector<loss_entry> entries;
};
inline decoded_loss decode_loss(const std::vector<uint8_t>& payload) {
  decoded_loss loss;
  if (payload.size() < sizeof loss.fixed) throw std::runtime_error("LOSS payload too short");
  std::memcpy(&loss.fixed, payload.data(), sizeof loss.fixed);
  loss.entries.resize(loss.fixed.entry_count);
  if (payload.size() != sizeof loss.fixed + loss.entries.size() * sizeof(loss_entry)) {
    throw std::runtime_error("LOSS payload contradicts its entry count");
  }
  if (!loss.entries.empty()) {
    std::memcpy(loss.entries.data(), payload.data() + sizeof loss.fixed, loss.entries.size() * sizeof(loss_entry));
  }
  return loss;
}

}  // namespace sluice::test
