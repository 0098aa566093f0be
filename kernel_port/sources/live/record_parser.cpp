#include "kernel_port/sources/live/record_parser.h"

#include <fmt/format.h>
#include <linux/perf_event.h>

#include <cstring>

#include "kernel_port/sources/live/live_error.h"

namespace sluice::live {

const char* name_of(record_kind kind) {
  switch (kind) {
    case record_kind::fork: return "fork";
    case record_kind::exit: return "exit";
    case record_kind::name: return "comm";
    case record_kind::mapping: return "mmap2";
    case record_kind::lost: return "lost";
    case record_kind::lost_samples: return "lost_samples";
    case record_kind::throttle: return "throttle";
    case record_kind::unknown: return "unknown";
  }
  return "unknown";
}

namespace {

// What PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU puts at the end of every record.
struct trailer {
  uint32_t pid, tid;
  uint64_t time;
  uint32_t cpu, reserved;
};
static_assert(sizeof(trailer) == 24);

class field_reader {
 public:
  field_reader(std::span<const uint8_t> bytes, uint32_t type) : bytes_(bytes), type_(type) {}

  template <typename value_type>
  value_type take() {
    if (bytes_.size() - position_ < sizeof(value_type)) fail("is too short for its fields");
    value_type value;
    std::memcpy(&value, bytes_.data() + position_, sizeof value);
    position_ += sizeof value;
    return value;
  }
  void skip(size_t count) {
    if (bytes_.size() - position_ < count) fail("is too short for its fields");
    position_ += count;
  }
  // The rest is one string, padded with NULs.
  std::string take_string() {
    const char* begin = reinterpret_cast<const char*>(bytes_.data() + position_);
    size_t room = bytes_.size() - position_;
    size_t length = strnlen(begin, room);
    if (length == room) fail("holds a string without an end");
    position_ = bytes_.size();
    return std::string(begin, length);
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    throw live_error(live_error_kind::malformed,
                     fmt::format("a perf record of type {} with {} bytes before its trailer {}", type_,
                                 bytes_.size(), what));
  }
  std::span<const uint8_t> bytes_;
  uint32_t type_;
  size_t position_ = 0;
};

record_kind kind_of(uint32_t type) {
  switch (type) {
    case PERF_RECORD_FORK: return record_kind::fork;
    case PERF_RECORD_EXIT: return record_kind::exit;
    case PERF_RECORD_COMM: return record_kind::name;
    case PERF_RECORD_MMAP2: return record_kind::mapping;
    case PERF_RECORD_LOST: return record_kind::lost;
    case PERF_RECORD_LOST_SAMPLES: return record_kind::lost_samples;
    case PERF_RECORD_THROTTLE:
    case PERF_RECORD_UNTHROTTLE: return record_kind::throttle;
    default: return record_kind::unknown;
  }
}

}  // namespace

linux_record parse_record(std::span<const uint8_t> bytes) {
  perf_event_header header;
  if (bytes.size() < sizeof header)
    throw live_error(live_error_kind::malformed,
                     fmt::format("a perf record of {} bytes is shorter than its header", bytes.size()));
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.size != bytes.size())
    throw live_error(live_error_kind::malformed,
                     fmt::format("a perf record says {} bytes where {} stand", header.size, bytes.size()));

  linux_record record;
  record.kind = kind_of(header.type);
  if (record.kind == record_kind::unknown) return record;

  if (bytes.size() < sizeof header + sizeof(trailer))
    throw live_error(live_error_kind::malformed,
                     fmt::format("a perf record of type {} with {} bytes has no room for its trailer", header.type,
                                 bytes.size()));
  trailer end;
  std::memcpy(&end, bytes.data() + bytes.size() - sizeof end, sizeof end);
  record.time = end.time;
  record.cpu = end.cpu;

  field_reader fields(bytes.subspan(sizeof header, bytes.size() - sizeof header - sizeof end), header.type);
  switch (record.kind) {
    case record_kind::fork:
    case record_kind::exit:
      record.pid = fields.take<int32_t>();
      record.parent_pid = fields.take<int32_t>();
      record.tid = fields.take<int32_t>();
      record.parent_tid = fields.take<int32_t>();
      fields.skip(sizeof(uint64_t));  // its own time: taken later than the trailer's, by nanoseconds
      break;
    case record_kind::name:
      record.exec = (header.misc & PERF_RECORD_MISC_COMM_EXEC) != 0;
      record.pid = fields.take<int32_t>();
      record.tid = fields.take<int32_t>();
      record.text = fields.take_string();
      break;
    case record_kind::mapping:
      record.pid = fields.take<int32_t>();
      record.tid = fields.take<int32_t>();
      record.address = fields.take<uint64_t>();
      record.length = fields.take<uint64_t>();
      // File offset, then device and inode (or build id), then protection and flags.
      fields.skip(sizeof(uint64_t) + 24 + 2 * sizeof(uint32_t));
      record.text = fields.take_string();
      break;
    case record_kind::lost:
      fields.skip(sizeof(uint64_t));  // id
      record.lost = fields.take<uint64_t>();
      break;
    case record_kind::lost_samples:
      record.lost = fields.take<uint64_t>();
      break;
    case record_kind::throttle:
    case record_kind::unknown: break;
  }
  return record;
}

}  // namespace sluice::live
