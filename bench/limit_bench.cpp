// What this machine can do at best between its two processors, without any queue:
//
//   limit/lines/B         lines handed over in blocks of B bytes: written on one side, every word read on the other, one
//                         word of synchronisation per block and direction
//   limit/events_WAY/B/CLOCK  the same, but what is written is the event of bench/handover.h: a clock reading each and a
//                         copy of 64 bytes, 80 bytes in all. WAY: `direct` into the block; with a `prefetch` for writing
//                         sixteen events ahead; `staged` in memory of the producer's own and copied when the block is
//                         full. The fastest of all is called the limit.
//
// Both sides verify: the sum of what was read is the sum of what was written.
#include <memory>
#include <vector>

#include "bench/event.h"
#include "bench/suite.h"
#include "bench/support.h"
#include "bench/two_cpus.h"

namespace sluice::bench {
namespace {

constexpr uint32_t area = 1 << 20;

struct alignas(128) shared_word {
  std::atomic<uint64_t> value{0};
};

// Blocks of one area that go round.
struct blocks {
  explicit blocks(uint32_t block_bytes) : bytes(block_bytes), count(area / block_bytes) {
    memory.reset(static_cast<uint8_t*>(std::aligned_alloc(4096, area)));
    if (!memory) throw std::bad_alloc();
    std::memset(memory.get(), 0, area);
  }
  uint8_t* at(uint64_t number) const { return memory.get() + number % count * bytes; }

  // Producer: waits until the block is free.
  uint8_t* take(uint64_t number) {
    while (number - freed.value.load(std::memory_order_acquire) >= count) relax();
    return at(number);
  }
  // Consumer: waits until it is full.
  const uint8_t* wait(uint64_t number) {
    while (filled.value.load(std::memory_order_acquire) <= number) relax();
    return at(number);
  }

  const uint32_t bytes;
  const uint32_t count;
  shared_word filled;
  shared_word freed;

 private:
  struct free_memory {
    void operator()(uint8_t* at) const { std::free(at); }
  };
  std::unique_ptr<uint8_t, free_memory> memory;
};

// `fill(block, bytes)` and `read(block, bytes)` both return a sum. Nanoseconds per block, as the consumer sees it.
template <class filler, class reader>
double hand_over(benchmark::State& state, uint32_t block_bytes, uint64_t count, filler&& fill, reader&& read) {
  blocks shared(block_bytes);
  uint64_t written = 0, seen = 0, begin = 0, end = 0;
  const uint64_t warm = shared.count;  // once round
  run_on_two_cpus(
      [&] {
        for (uint64_t n = 0; n < warm + count; ++n) {
          written += fill(shared.take(n), block_bytes);
          shared.filled.value.store(n + 1, std::memory_order_release);
        }
      },
      [&] {
        for (uint64_t n = 0; n < warm + count; ++n) {
          if (n == warm) begin = monotonic_nanoseconds();
          seen += read(shared.wait(n), block_bytes);
          shared.freed.value.store(n + 1, std::memory_order_release);
        }
        end = monotonic_nanoseconds();
      });
  if (seen != written) state.SkipWithError("what was read is not what was written");
  return static_cast<double>(end - begin) / static_cast<double>(count);
}

uint64_t sum_words(const uint8_t* bytes, uint32_t length) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < length; i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes + i, sizeof word);
    sum += word;
  }
  return sum;
}

void lines(benchmark::State& state, uint32_t block_bytes, uint64_t total) {
  uint64_t next = 1;
  const double each = hand_over(
      state, block_bytes, total / block_bytes,
      [&](uint8_t* block, uint32_t length) {
        const uint64_t value = next++;
        for (uint32_t i = 0; i < length; i += 8) std::memcpy(block + i, &value, sizeof value);
        return value * (length / 8);
      },
      sum_words);
  state.counters["ns"] = each / (block_bytes / 64.0);
}

// How the producer brings its events into a block.
enum class way { direct, prefetch, staged };

constexpr uint32_t stride = 16 + sizeof(event_payload);
constexpr uint32_t ahead = 16 * stride;

SLUICE_ALWAYS_INLINE void prefetch_for_writing(const uint8_t* line) {
#if defined(__x86_64__)
  __asm__ volatile("prefetchw %0" ::"m"(*line));  // of its own the compiler asks for a shared line on a generic x86-64
#else
  __builtin_prefetch(line, 1);
#endif
}

// Writes events until `end`; returns the sum of their payloads.
template <class clock, way how>
uint64_t write_events(uint8_t* to, const uint8_t* end, uint64_t& next) {
  uint64_t sum = 0;
  for (; to + stride <= end; to += stride) {
    if constexpr (how == way::prefetch) {
      prefetch_for_writing(to + ahead);
      prefetch_for_writing(to + ahead + 64);
    }
    const event_payload payload = make_payload(next++);
    const uint64_t time = clock().now();
    std::memcpy(to, &time, sizeof time);
    std::memcpy(to + 16, &payload, sizeof payload);
    sum += sum_of(payload);
  }
  return sum;
}

template <class clock, way how>
void events(benchmark::State& state, uint32_t block_bytes, uint64_t total) {
  const uint32_t per_block = block_bytes / stride;
  std::vector<uint8_t> stage(block_bytes);
  uint64_t next = 0;
  const double each = hand_over(
      state, block_bytes, total / block_bytes,
      [&](uint8_t* block, uint32_t length) {
        if constexpr (how != way::staged) return write_events<clock, how>(block, block + length, next);
        const uint64_t sum = write_events<clock, how>(stage.data(), stage.data() + length, next);
        std::memcpy(block, stage.data(), length);
        return sum;
      },
      [&](const uint8_t* block, uint32_t) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < per_block; ++i, block += stride) sum += sum_words(block + 16, sizeof(event_payload));
        return sum;
      });
  state.counters["ns"] = each / per_block;
}

template <class clock>
void add_events(uint32_t bytes, uint64_t total) {
  const std::string name = "/" + std::to_string(bytes) + "/" + clock::name;
  add_on_two_cpus("limit/events_direct" + name, [=](auto& state) { events<clock, way::direct>(state, bytes, total); });
  add_on_two_cpus("limit/events_prefetch" + name, [=](auto& state) { events<clock, way::prefetch>(state, bytes, total); });
  add_on_two_cpus("limit/events_staged" + name, [=](auto& state) { events<clock, way::staged>(state, bytes, total); });
}

}  // namespace

void add_limits(const settings& with) {
  if (pick_cpus().available < 2) return;
  const uint64_t total = with.scale(16 << 20);
  for (const uint32_t bytes : {1u << 10, 1u << 12, 1u << 14, 1u << 16}) {
    const std::string name = "/" + std::to_string(bytes);
    add_on_two_cpus("limit/lines" + name, [=](auto& state) { lines(state, bytes, total); });
    add_events<monotonic_clock>(bytes, total);
    add_events<counter_clock>(bytes, total);
  }
}

}  // namespace sluice::bench
