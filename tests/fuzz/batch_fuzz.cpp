// Reads any bytes as declarations of own types and batches behind them, up to the lines of both sinks. The first byte says whether
// the lengths of a batch are made right first: by chance few mutations would get past its header.
//
// What a batch gives out, written again, is the batch; the account knows every record that was given out.
#include <cstdlib>
#include <memory>
#include <vector>

#include "consumers/event_reader.h"
#include "consumers/jsonl_sink.h"
#include "consumers/text_sink.h"
#include "tests/fuzz/script.h"

namespace sluice {
namespace {

// A copy at the end of its own allocation: a read past it is seen.
class exact_copy {
 public:
  explicit exact_copy(std::span<const uint8_t> from) : memory_(new uint8_t[from.size()]), size_(from.size()) {
    std::copy(from.begin(), from.end(), memory_.get());
  }
  std::span<uint8_t> get() const { return {memory_.get(), size_}; }

 private:
  std::unique_ptr<uint8_t[]> memory_;
  size_t size_;
};

template <class number>
void put(std::span<uint8_t> to, size_t at, number value) {
  if (at + sizeof value <= to.size()) std::memcpy(&to[at], &value, sizeof value);
}

// The lengths of the header, and of each entry the length of its record, or the other way round where that cannot be.
void make_lengths_right(std::span<uint8_t> batch) {
  if (batch.size() < sizeof(batch_header)) return;
  put(batch, offsetof(batch_header, magic), batch_magic);
  put(batch, offsetof(batch_header, version), batch_version);
  put(batch, offsetof(batch_header, header_bytes), static_cast<uint16_t>(sizeof(batch_header)));
  put(batch, offsetof(batch_header, total_bytes), static_cast<uint32_t>(batch.size()));
  uint32_t records = 0;
  for (size_t at = sizeof(batch_header); batch.size() - at >= sizeof(batch_entry) + record_header_size; ++records) {
    uint32_t word;
    std::memcpy(&word, &batch[at + sizeof(batch_entry)], sizeof word);
    const size_t room = batch.size() - at - sizeof(batch_entry);
    uint32_t length = std::max(length_of(word), record_header_size);
    if (length > room || record_stride(length) > room) length = static_cast<uint32_t>(room) & ~7u;
    put(batch, at, batch_overhead(length));
    put(batch, at + sizeof(batch_entry), make_state_and_length(record_state::committed, length));
    at += batch_overhead(length);
  }
  put(batch, offsetof(batch_header, record_count), records);
}

// What the reader says of a record must stand in the batch, where it should.
uint64_t check_records(std::span<const uint8_t> batch) {
  batch_reader reader(batch);
  delivered_record record;
  uint64_t records = 0;
  for (size_t at = 0; reader.next(record) == batch_status::ok; ++records) {
    if (records == 0) at = static_cast<size_t>(record.payload - batch.data()) - record_header_size - sizeof(batch_entry);
    const size_t end = static_cast<size_t>(record.payload - batch.data()) + record.payload_length;
    if (end > batch.size()) std::abort();
    batch_entry entry;
    std::memcpy(&entry, &batch[at], sizeof entry);
    const uint8_t flags = static_cast<uint8_t>(
        (record.late ? batch_flag_late : 0) | (record.figures ? batch_flag_figures : 0) | (record.of_stream ? batch_flag_stream : 0) |
        (record.overwritten ? batch_flag_overwritten : 0) | (record.client_loss ? batch_flag_client_loss : 0));
    const batch_entry again{batch_overhead(record.payload_length + record_header_size), record.identity.cpu, record.identity.lane,
                            static_cast<uint8_t>(flags | (entry.flags & 0xe0)), record.identity.position};
    if (std::memcmp(&entry, &again, sizeof entry) != 0) std::abort();
    const record_header header{make_state_and_length(record_state::committed, record.payload_length + record_header_size), record.type,
                               record.version, record.record_flags, static_cast<uint32_t>(record.time),
                               static_cast<uint32_t>(record.time >> 32)};
    if (std::memcmp(&batch[at + sizeof entry], &header, sizeof header) != 0) std::abort();
    at += entry.entry_bytes;
  }
  if (reader.status() == batch_status::ok || reader.next(record) != reader.status()) std::abort();
  if (reader.status() != batch_status::end && reader.fault_offset() > batch.size()) std::abort();
  return records;
}

void read_batch(event_reader& reader, std::span<const uint8_t> batch, event_sink& lines, event_sink& text) {
  const uint64_t records = check_records(batch);
  const uint64_t duplicates = reader.account().duplicates();
  reader.begin(batch, 1);
  uint64_t events = 0;
  while (const decoded_event* const event = reader.next()) {
    ++events;
    lines.write(*event);
    text.write(*event);
  }
  if (events + reader.account().duplicates() - duplicates != records) std::abort();
  for (const std::string& fault : reader.take_faults()) {
    if (fault.empty()) std::abort();
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  fuzz::script input({data, size});
  const uint8_t mode = input.byte();
  event_reader reader;
  const exact_copy declarations(input.take_bytes(input.take<uint16_t>()));
  protocol::capabilities about{};
  about.clock_frequency = mode & 2 ? 10'000'000 : 0;
  about.anchor_utc = mode & 4;
  reader.learn(about, declarations.get());
  output_writer out(-1);  // keeps nothing
  jsonl_sink lines({reader.names(), reader.clock(), out});
  text_sink text({reader.names(), reader.clock(), out}, (mode & 8) != 0);
  for (int batches = 0; batches < 4 && !input.ended(); ++batches) {
    const exact_copy batch(input.take_bytes(input.take<uint16_t>()));
    if (mode & 1) make_lengths_right(batch.get());
    read_batch(reader, batch.get(), lines, text);
  }
  out.buffer().clear();
  (void)reader.account().check({}, nullptr);
  return 0;
}
