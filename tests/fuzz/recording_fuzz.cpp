// Reads any bytes as a recording of ours. The first byte says whether the checksums are made right first: by chance no
// mutation would get past them.
#include <cstring>
#include <vector>

#include "consumers/event_stream.h"
#include "consumers/recording/file_source.h"
#include "tests/fuzz/input_file.h"

namespace sluice {
namespace {

using namespace recording;

template <class layout>
void sign(std::vector<uint8_t>& file, size_t at) {
  layout value;
  std::memcpy(&value, file.data() + at, sizeof value);
  value.checksum = checksum_of(value);
  std::memcpy(file.data() + at, &value, sizeof value);
}

void make_checksums_right(std::vector<uint8_t>& file) {
  if (file.size() < sizeof(recording_header)) return;
  sign<recording_header>(file, 0);
  for (size_t at = 0; at + sizeof(block_header) <= file.size(); at += block_alignment) {
    block_header header;
    std::memcpy(&header, file.data() + at, sizeof header);
    if (header.magic != block_magic) continue;
    if (header.stored_bytes <= file.size() - at - sizeof header) {
      header.stored_checksum = crc32({file.data() + at + sizeof header, header.stored_bytes});
      std::memcpy(file.data() + at, &header, sizeof header);
    }
    sign<block_header>(file, at);
  }
  if (file.size() >= sizeof(trailer)) {
    const size_t at = file.size() - sizeof(trailer);
    if (std::memcmp(file.data() + at, trailer_magic, sizeof trailer_magic) == 0) sign<trailer>(file, at);
  }
}

void read_everything(file_source& source) {
  event_stream stream(source);
  while (stream.last_read() != read_status::end) {
    while (stream.next(std::chrono::seconds(1)) != nullptr) {
    }
    (void)stream.take_faults();
    (void)source.take_faults();
  }
  (void)stream.account().check(source.statistics(), nullptr);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  if (size == 0) return 0;
  std::vector<uint8_t> content(data + 1, data + size);
  if (data[0] % 2 == 1) make_checksums_right(content);
  const fuzz::input_file file(content);
  try {
    recording::file_source source(file.path());
    read_everything(source);
    const std::optional<uint64_t> first = source.first_utc();
    source.select({first.value_or(0) + data[0], first.value_or(0) + 100'000});
    read_everything(source);
  } catch (const recording::recording_error&) {
  }
  return 0;
}
