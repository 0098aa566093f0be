// R5 and R1 with a consumer that writes anything to its page at any moment: between two operations, and before and after each load
// of the producer's. The input is the script of both. The producer never writes outside of free room, never passes what is open,
// counts each claim that cannot be, and believes every one that can.
//
// What stands in the rings is followed here from the headers that the producer writes, without its private positions.
#include <cstdlib>
#include <deque>
#include <vector>

#include "tests/fuzz/script.h"
#include "tests/pipeline/support.h"

namespace sluice {
namespace {

struct world;
world* running = nullptr;

void before_load(const atomic_word* word);
void after_load(const atomic_word* word, uint32_t value);

struct forged_word : atomic_word {
  uint32_t load(memory_order order) const {
    before_load(this);
    const uint32_t value = atomic_word::load(order);
    after_load(this, value);
    return value;
  }
};

struct forged_seam {
  using word = forged_word;
  static constexpr uint32_t types = max_record_types;
  struct memory : native_seam::memory {
    memory() = default;
    explicit memory(const native_seam::memory& plain) : native_seam::memory(plain) {}
    word& state(uint32_t offset) const { return static_cast<word&>(native_seam::memory::state(offset)); }
  };
  static void light_barrier() {}
  static void fence(memory_order) {}
};
static_assert(sizeof(producer_page<forged_seam>) == sizeof(producer_page<native_seam>));

// A record that stands in a ring.
struct standing {
  uint32_t position;
  uint32_t stride;
  uint16_t type;
  bool open;
};

// One ring: its memory, and what this side knows of it.
struct followed {
  followed(const ring_geometry& geometry, uint8_t number, uint32_t start, ring_mode mode)
      : lane(geometry, 0, number, start, mode), reclaimed(start), written(start) {}

  region_view<forged_seam> view() const {
    region_view<forged_seam> forged;
    forged.producer = reinterpret_cast<producer_page<forged_seam>*>(lane.view.producer);
    forged.consumer = reinterpret_cast<consumer_page<forged_seam>*>(lane.view.consumer);
    forged.data = forged_seam::memory(lane.view.data);
    forged.geometry = lane.view.geometry;
    forged.start_position = lane.view.start_position;
    forged.lane = lane.view.lane;
    forged.mode = lane.view.mode;
    return forged;
  }
  std::span<const uint8_t> content() const {
    return {lane.view.data.bytes(0), lane.view.geometry.capacity + lane.view.geometry.max_record};
  }
  // The end of a record that is there, or the beginning of the first, with nothing open before it.
  bool may_claim(uint32_t claimed) const {
    uint32_t at = reclaimed;
    for (const standing& each : records) {
      if (claimed == at) return true;
      if (each.open) return false;
      at += each.stride;
    }
    return claimed == at;
  }

  test::lane lane;
  std::deque<standing> records;
  uint32_t reclaimed;
  uint32_t written;
  uint64_t passed[max_record_types] = {};
  // Of the last claim that was read.
  bool read_one = false;
  uint32_t claim = 0;
  bool was_wrong = false;
  bool must_be_refused = false;
};

struct world {
  explicit world(fuzz::script& script)
      : input(script),
        mode(input.byte() & 1 ? ring_mode::overwrite : ring_mode::discard),
        main(test::small_main, lane_main, start = input.take<uint32_t>() & ~7u, mode),
        spare(test::small_spare, lane_spare, start, mode),
        rings(test::manual_clock{&time}) {
    time.step = 1;
    rings.attach(main.view(), spare.view(), test::critical_types);
    running = this;
  }
  ~world() { running = nullptr; }

  followed& either() { return input.byte() & 1 ? spare : main; }

  // A value that may hurt: a boundary, near one, far away.
  uint32_t claim_of(const followed& ring) {
    const uint8_t how = input.byte();
    if (how % 4 == 0) return input.take<uint32_t>();
    uint32_t at = ring.reclaimed;
    for (size_t n = ring.records.empty() ? 0 : input.byte() % (ring.records.size() + 1), i = 0; i < n; ++i) at += ring.records[i].stride;
    return how % 4 == 1 ? at + static_cast<uint32_t>(static_cast<int8_t>(input.byte())) : at;
  }
  void forge(followed& ring) { ring.lane.claim(claim_of(ring)); }

  // Whoever writes to the consumer's page does it here, too: at any load.
  void about_to_load() {
    if (racing && input.byte() % 3 == 0) forge(either());
  }
  void has_loaded(const atomic_word* word, uint32_t value) {
    for (followed* ring : {&main, &spare}) {
      if (word != &ring->lane.view.consumer->consumed || mode == ring_mode::overwrite) continue;
      ring->read_one = true;
      ring->claim = value;
      ring->was_wrong = !ring->may_claim(value);
    }
    about_to_load();
  }

  // An operation of the producer: what it changes lies behind what was written before, and nothing that stands there is touched.
  template <class operation>
  void produce(operation&& what) {
    for (const followed* ring : {&main, &spare}) before[ring->lane.view.lane].assign(ring->content().begin(), ring->content().end());
    racing = true;
    what();
    racing = false;
    for (followed* ring : {&main, &spare}) check(*ring, before[ring->lane.view.lane]);
  }

  void check(followed& ring, std::vector<uint8_t>& expected) {
    const uint32_t capacity = ring.lane.view.geometry.capacity;
    const uint32_t published = ring.lane.published();
    const auto where = rings.where();
    if (where.written[ring.lane.view.lane] != published) std::abort();
    move_to(ring, where.reclaimed[ring.lane.view.lane]);
    if (published - ring.reclaimed > capacity) std::abort();  // R1
    // Outside of what was written nothing has changed.
    const uint8_t* const data = ring.lane.view.data.bytes(0);
    while (ring.written != published) {
      const record_header& header = ring.lane.header_at(ring.written);
      const uint32_t stride = record_stride(length_of(header.state_and_length));
      if (stride < record_header_size || published - ring.written < stride || header.type >= max_record_types) std::abort();
      ring.records.push_back({ring.written, stride, header.type, !is_closed(state_of(header.state_and_length))});
      const uint32_t at = ring.written & (capacity - 1);
      std::copy_n(data + at, stride, &expected[at]);
      ring.written += stride;
    }
    if (std::memcmp(data, expected.data(), expected.size()) != 0) std::abort();
  }

  // Room is given back by whole closed records only.
  void move_to(followed& ring, uint32_t reclaimed) {
    while (ring.reclaimed != reclaimed) {
      if (ring.records.empty() || ring.records.front().open) std::abort();
      ++ring.passed[ring.records.front().type];
      ring.reclaimed += ring.records.front().stride;
      ring.records.pop_front();
    }
  }

  void write() {
    const uint8_t how = input.byte();
    const uint16_t type = how & 1 ? test::critical_type : test::ordinary_type;
    const uint32_t length = how & 4 ? input.byte() * 8u : input.byte();
    static const uint8_t payload[2048] = {1};
    produce([&] {
      if (how & 2) {
        (void)rings.write(type, 1, payload, length);
        return;
      }
      open_record<forged_seam> record;
      if (rings.reserve(type, 1, length, record) == reserve_status::ok) open.push_back(record);
    });
  }

  void close() {
    if (open.empty()) return;
    const size_t which = input.byte() % open.size();
    const open_record<forged_seam> record = open[which];
    open.erase(open.begin() + static_cast<ptrdiff_t>(which));
    const record_state state = input.byte() & 1 ? record_state::committed : record_state::discarded;
    std::memset(record.payload(), 0xee, record.payload_length());
    record.close(state);
    for (followed* ring : {&main, &spare}) {
      for (standing& each : ring->records) {
        const record_header& header = ring->lane.header_at(each.position);
        each.open = !is_closed(state_of(header.state_and_length));
      }
    }
  }

  // Until all that is claimed was looked at: then each wrong claim that was read has been counted, and nothing else.
  void settle() {
    bool settled = false;
    for (int i = 0; i < 100 && !settled; ++i) produce([&] { settled = rings.settle(); });
    if (!settled) return;  // claims kept coming
    uint64_t least = 0, most = 0;
    for (followed* ring : {&main, &spare}) {
      if (ring->read_one && ring->was_wrong) {
        ++most;
        ring->must_be_refused |= !ring->may_claim(ring->claim);  // nothing was closed meanwhile that made it right
        if (ring->must_be_refused) ++least;
      }
    }
    if (rings.violations() - past_violations < least || rings.violations() - past_violations > most) std::abort();
  }

  void restart() {
    produce([&] { rings.restart_consumer(); });
    past_violations = rings.violations();
    for (followed* ring : {&main, &spare}) ring->read_one = ring->was_wrong = ring->must_be_refused = false;
  }

  void run() {
    while (!input.ended()) {
      switch (input.byte() % 8) {
        case 0:
        case 1:
        case 2: write(); break;
        case 3: close(); break;
        case 4: forge(either()); break;
        case 5: produce([&] { (void)rings.settle(); }); break;
        case 6: settle(); break;
        case 7:
          if (mode == ring_mode::discard && input.byte() % 4 == 0) restart();
      }
    }
    settle();
    check_account();
  }

  // R3: what was asked for is behind, here, or was dropped.
  void check_account() {
    for (uint16_t type : {record_type_loss, test::ordinary_type, test::critical_type}) {
      const account_row& row = rings.row(type);
      uint64_t here = 0;
      uint64_t passed = 0;
      for (const followed* ring : {&main, &spare}) {
        for (const standing& each : ring->records) here += each.type == type;
        passed += ring->passed[type];
      }
      if (row.committed + row.discarded != passed || row.attempted != passed + here + row.dropped_total()) std::abort();
      if (row.overwritten > row.committed) std::abort();
    }
  }

  fuzz::script& input;
  const ring_mode mode;
  test::manual_time time{1, 1, {}};
  uint32_t start = 0;
  followed main;
  followed spare;
  cpu_rings<forged_seam, test::manual_clock> rings;
  std::vector<open_record<forged_seam>> open;
  std::vector<uint8_t> before[lanes_per_cpu];  // what the rings held
  uint64_t past_violations = 0;
  bool racing = false;
};

void before_load(const atomic_word*) {
  if (running != nullptr) running->about_to_load();
}
void after_load(const atomic_word* word, uint32_t value) {
  if (running != nullptr) running->has_loaded(word, value);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::fuzz::script input({data, size});
  sluice::world(input).run();
  return 0;
}
