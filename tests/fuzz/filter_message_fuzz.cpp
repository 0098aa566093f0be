// Gives any bytes to the driver's own check of a filter message. What passes keeps every promise that the driver builds on: it
// follows tables and texts without another look at a bound.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "producers/filter_validation.h"

namespace sluice {
namespace {

// The message in memory of its own, to the byte; what names it and its length are made right if the first byte says so.
std::unique_ptr<uint8_t[]> message_of(const uint8_t* data, size_t size, bool name_it) {
  std::unique_ptr<uint8_t[]> bytes(new uint8_t[size]);
  std::copy(data, data + size, bytes.get());
  if (name_it && size >= sizeof(filter_header)) {
    filter_header header;
    std::memcpy(&header, bytes.get(), sizeof header);
    header.magic = filter_magic;
    header.version = filter_version;
    header.header_bytes = sizeof header;
    header.total_bytes = static_cast<uint32_t>(size);
    std::memcpy(bytes.get(), &header, sizeof header);
  }
  return bytes;
}

class accepted {
 public:
  accepted(const uint8_t* message, uint32_t bytes) : message_(message), bytes_(bytes) {
    std::memcpy(&header_, message, sizeof header_);
  }
  void check() const {
    if (header_.total_bytes != bytes_ || header_.magic != filter_magic) std::abort();
    check_table(header_.processes, sizeof(filter_process), max_filter_processes);
    check_table(header_.type_rates, sizeof(filter_type_rate), max_record_types);
    check_paths(header_.images);
    check_paths(header_.keys);
    for (uint32_t i = 0; i < header_.processes.count; ++i) {
      if (entry<filter_process>(header_.processes, i).pid > max_filter_process_id) std::abort();
    }
    for (uint32_t i = 0; i < header_.type_rates.count; ++i) {
      if (entry<filter_type_rate>(header_.type_rates, i).type >= max_record_types) std::abort();
    }
  }

 private:
  template <class what>
  what entry(const filter_table& table, uint32_t index) const {
    what value;
    std::memcpy(&value, message_ + table.offset + index * sizeof value, sizeof value);
    return value;
  }
  void check_table(const filter_table& table, uint64_t size, uint64_t most) const {
    if (table.count == 0) return;
    if (table.count > most || table.offset % 8 != 0 || table.offset < sizeof header_ || table.offset + table.count * size > bytes_) {
      std::abort();
    }
  }
  void check_paths(const filter_table& table) const {
    check_table(table, sizeof(filter_path), max_filter_paths);
    for (uint32_t i = 0; i < table.count; ++i) {
      const auto path = entry<filter_path>(table, i);
      if (path.offset % 2 != 0 || path.length % 2 != 0 || path.length < 4 || uint64_t{path.offset} + path.length > bytes_) std::abort();
      char16_t first;
      std::memcpy(&first, message_ + path.offset, sizeof first);
      if (first != u'\\' && first != u'/') std::abort();
    }
  }

  const uint8_t* message_;
  uint32_t bytes_;
  filter_header header_;
};

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  if (size == 0) return 0;
  const std::unique_ptr<uint8_t[]> message = message_of(data + 1, size - 1, data[0] % 2 == 1);
  const auto bytes = static_cast<uint32_t>(size - 1);
  const filter_check check = validate_filter(message.get(), bytes);
  if (check.error != filter_error::none) {
    if (check.offset > bytes && check.offset > sizeof(filter_header)) std::abort();
    return 0;
  }
  accepted(message.get(), bytes).check();
  return 0;
}
