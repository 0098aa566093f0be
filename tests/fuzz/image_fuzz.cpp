// Reads any bytes as an image. The first byte says whether the headers' checksums are made right first: by chance no mutation
// would get past them.
#include <cstring>
#include <vector>

#include "consumers/event_stream.h"
#include "consumers/image/image_source.h"
#include "tests/fuzz/input_file.h"

namespace sluice {
namespace {

template <class layout>
void sign(std::vector<uint8_t>& file, size_t at) {
  if (sizeof(layout) > file.size() - at) return;
  layout header;
  std::memcpy(&header, &file[at], sizeof header);
  header.checksum = checksum_of(header);
  std::memcpy(&file[at], &header, sizeof header);
}

void make_checksums_right(std::vector<uint8_t>& file) {
  for (size_t at = 0; at + sizeof(uint32_t) <= file.size(); at += region_page) {
    uint32_t magic;
    std::memcpy(&magic, &file[at], sizeof magic);
    if (magic == region_magic) sign<region_header>(file, at);
    if (magic == catalog_magic) sign<catalog_header>(file, at);
  }
}

void read_everything(image::image_source& source) {
  event_stream stream(source);
  uint64_t events = 0;
  while (stream.last_read() != read_status::end) {
    while (stream.next(std::chrono::seconds(1)) != nullptr) ++events;
    (void)stream.take_faults();
    (void)source.take_faults();
  }
  // What it says is there comes; figures of losses come on top.
  if (stream.account().received_records() + stream.account().duplicates() != source.report().complete()) __builtin_trap();
  if (stream.faulty_batches() != 0) __builtin_trap();
  (void)image::describe(source.report(), stream.names());
  (void)image::to_json_lines(source.report(), stream.names(), stream.clock());
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
    image::image_source source(file.path());
    read_everything(source);
  } catch (const image::image_error&) {
  }
  return 0;
}
