#include "consumers/recording/recording_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "consumers/utf16.h"

namespace sluice::recording {
namespace {

constexpr size_t most_faults_kept = 1000;

// Takes structs off the front of a content; false: it is too short.
class content_reader {
 public:
  explicit content_reader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  template <class layout>
  bool take(layout& to) {
    static_assert(std::is_trivially_copyable_v<layout>);
    if (bytes_.size() < sizeof to) return false;
    std::memcpy(&to, bytes_.data(), sizeof to);
    bytes_ = bytes_.subspan(sizeof to);
    return true;
  }
  bool take_padded(uint64_t count, std::span<const uint8_t>& to) {
    if (count > bytes_.size()) return false;
    to = bytes_.first(count);
    bytes_ = bytes_.subspan(std::min<uint64_t>(padded(count), bytes_.size()));
    return true;
  }
  size_t left() const { return bytes_.size(); }

 private:
  std::span<const uint8_t> bytes_;
};

std::string what_it_may_be(std::span<const uint8_t> start) {
  if (start.size() >= 2 && start[0] == 0x1f && start[1] == 0x8b)
    return "it is gzip; replay:FILE reads recordings in gzip";
  if (!start.empty() && start[0] == '{') return "it looks like JSON; replay:FILE reads JSON Lines";
  return "it does not begin as one does";
}

}  // namespace

recording_reader::recording_reader(const std::string& path) : path_(path) {
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) refuse(std::strerror(errno));
  try {
    struct stat about {};
    if (::fstat(descriptor_, &about) != 0) refuse(std::strerror(errno));
    if (!S_ISREG(about.st_mode)) refuse("not a regular file: a recording is read from several places");
    size_ = static_cast<uint64_t>(about.st_size);
    read_about();
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

recording_reader::~recording_reader() {
  ::close(descriptor_);
}

void recording_reader::refuse(const std::string& what) const {
  throw recording_error(fmt::format("{}: {}", path_, what));
}

void recording_reader::fault(uint64_t offset, const std::string& what) {
  if (faults_.size() < most_faults_kept)
    faults_.push_back(fmt::format("{}: at offset {}: {}", path_, offset, what));
}

std::vector<std::string> recording_reader::take_faults() {
  return std::exchange(faults_, {});
}

size_t recording_reader::read_at(uint64_t offset, void* to, size_t bytes) const {
  size_t done = 0;
  while (done < bytes) {
    const ssize_t n = ::pread(descriptor_, static_cast<uint8_t*>(to) + done, bytes - done,
                              static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) refuse(fmt::format("at offset {}: {}", offset + done, std::strerror(errno)));
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

void recording_reader::read_about() {
  if (size_ == 0) refuse("the file is empty");
  const size_t got = read_at(0, &header_, sizeof header_);
  if (std::memcmp(header_.magic, header_magic, std::min(got, sizeof header_.magic)) != 0) {
    refuse("not a recording of sluice: " + what_it_may_be({reinterpret_cast<const uint8_t*>(&header_), got}));
  }
  if (got < sizeof header_)
    refuse(fmt::format("a recording that ends after {} bytes, within its header", got));
  if (header_.version != format_version) {
    refuse(fmt::format("a recording of version {}; this program reads version {}", header_.version,
                       format_version));
  }
  if (checksum_of(header_) != header_.checksum) refuse("at offset 0: the header does not match its checksum");
  if (header_.header_bytes < sizeof header_ || header_.header_bytes % block_alignment != 0) {
    refuse(fmt::format("at offset 10: a header of {} bytes", header_.header_bytes));
  }
  go_to_start();

  block_header block{};
  const std::string wrong = read_header(offset_, block);
  if (!wrong.empty())
    refuse(fmt::format("at offset {}: {}; nothing can be read without the first block", offset_, wrong));
  const block_place place{offset_, block};
  const std::span<const uint8_t> bytes = content(place);
  if (!faults_.empty())
    refuse(take_faults().front().substr(path_.size() + 2) + "; nothing can be read without the first block");
  content_reader in(bytes);
  about_content layout{};
  std::span<const uint8_t> capabilities, types, title;
  if (block.kind != block_kind::about || !in.take(layout) ||
      !in.take_padded(layout.capabilities_bytes, capabilities) ||
      !in.take_padded(layout.types_bytes, types) || !in.take_padded(layout.title_bytes, title) ||
      capabilities.size() < sizeof(uint32_t)) {
    refuse(fmt::format("at offset {}: the first block does not say what was recorded", offset_));
  }
  std::memcpy(&capabilities_, capabilities.data(), std::min(capabilities.size(), sizeof capabilities_));
  if (capabilities_.version != protocol::version) {
    refuse(fmt::format(
        "recorded from a driver that speaks version {} of the protocol; this program reads version {}",
        capabilities_.version, protocol::version));
  }
  types_.assign(types.begin(), types.end());
  // Lines of it are told apart by nothing in what is shown: they become one.
  for (std::string_view rest(reinterpret_cast<const char*>(title.data()), title.size()); !rest.empty();) {
    constexpr std::string_view between = "\nsluice: ";
    const size_t length = std::min(rest.find(between), rest.size());
    title_ += (title_.empty() ? "" : "; ") + printable(rest.substr(0, length));
    rest.remove_prefix(std::min(length + between.size(), rest.size()));
  }
}

void recording_reader::go_to_start() {
  offset_ = header_.header_bytes;
  walks_from_start_ = true;
  expected_records_ = missing_records_ = 0;
  torn_ = ended_ = false;
}

// What is wrong there; empty: `header` may be used.
std::string recording_reader::read_header(uint64_t offset, block_header& header) const {
  const size_t got = read_at(offset, &header, sizeof header);
  if (got < sizeof header) return fmt::format("the file ends after {} bytes of a block's header", got);
  return wrong_with(header, header_.file_id);
}

bool recording_reader::is_trailer(uint64_t offset, trailer* found) const {
  trailer last{};
  if (offset + sizeof last != size_ || read_at(offset, &last, sizeof last) != sizeof last) return false;
  if (std::memcmp(last.magic, trailer_magic, sizeof last.magic) != 0 || last.file_id != header_.file_id ||
      checksum_of(last) != last.checksum) {
    return false;
  }
  if (found != nullptr) *found = last;
  return true;
}

// The next whole header at or behind `from`: headers stand on multiples of the alignment.
bool recording_reader::find_next(uint64_t from, uint64_t& found, block_header& header) const {
  std::vector<uint8_t> window(64 * 1024);
  for (uint64_t at = padded(from); at < size_; at += window.size()) {
    const size_t got = read_at(at, window.data(), window.size());
    for (size_t i = 0; i + sizeof(uint32_t) <= got; i += block_alignment) {
      uint32_t magic;
      std::memcpy(&magic, window.data() + i, sizeof magic);
      if (magic == block_magic && read_header(at + i, header).empty()) {
        found = at + i;
        return true;
      }
    }
  }
  return false;
}

std::optional<block_place> recording_reader::next() {
  if (ended_) return std::nullopt;
  if (offset_ >= size_) {
    ended_ = true;
    torn_ = !end_.has_value();
    fault(size_, torn_ ? "the recording has no end: it was cut here, or is still being written"
                       : "the file was cut behind its accounts; only its index is missing");
    return std::nullopt;
  }
  if (is_trailer(offset_)) {
    ended_ = true;
    torn_ = !end_.has_value();
    return std::nullopt;
  }
  block_place place{offset_, {}};
  if (const std::string wrong = read_header(offset_, place.header); !wrong.empty()) {
    if (!find_next(offset_ + block_alignment, place.offset, place.header)) {
      fault(offset_, fmt::format("{}; no whole block follows in the last {} bytes", wrong, size_ - offset_));
      ended_ = true;
      torn_ = !end_.has_value();
      return std::nullopt;
    }
    fault(offset_, fmt::format("{}; {} bytes are passed over", wrong, place.offset - offset_));
  }
  const block_header& header = place.header;
  const uint64_t behind = place.offset + header.header_bytes + uint64_t{header.stored_bytes};
  if (header.kind == block_kind::events) {
    if (walks_from_start_ && header.records_before > expected_records_) {
      missing_records_ += header.records_before - expected_records_;
    }
    expected_records_ = header.records_before + header.record_count;
  }
  if (behind > size_) {
    fault(place.offset, fmt::format("the file ends within block {}, after {} of its {} bytes",
                                    header.sequence, size_ - place.offset, behind - place.offset));
    missing_records_ += header.record_count;
    ended_ = true;
    torn_ = !end_.has_value();
    return std::nullopt;
  }
  offset_ = padded(behind);
  if (header.kind == block_kind::end) read_end(place);
  return place;
}

std::span<const uint8_t> recording_reader::content(const block_place& place) {
  stored_.resize(place.header.stored_bytes);
  stored_.resize(read_at(place.offset + place.header.header_bytes, stored_.data(), stored_.size()));
  std::string error;
  const std::span<const uint8_t> bytes = unpacker_.unpack(place.header, stored_, error);
  if (error.empty()) return bytes;
  fault(place.offset, fmt::format("block {}: {}", place.header.sequence, error));
  if (place.header.kind == block_kind::events) missing_records_ += place.header.record_count;
  return {};
}

void recording_reader::read_end(const block_place& place) {
  const size_t faults = faults_.size();
  const std::span<const uint8_t> bytes = content(place);
  if (faults_.size() != faults) return;
  content_reader in(bytes);
  end_content layout{};
  recording_end end;
  if (!in.take(layout) || !in.take(end.statistics.header)) {
    fault(place.offset, fmt::format("the end block has {} bytes, too few for its accounts", bytes.size()));
    return;
  }
  if (uint64_t{layout.row_count} * sizeof(protocol::statistics_row) +
          uint64_t{layout.raised_count} * sizeof(raised_entry) >
      in.left()) {
    fault(place.offset, fmt::format("the end block names {} rows and {} counts, which it has no room for",
                               layout.row_count, layout.raised_count));
    return;
  }
  end.reason = layout.reason;
  end.has_statistics = layout.has_statistics != 0;
  end.raised.always_on = layout.always_on;
  end.records_stored = layout.records_stored;
  end.records_not_stored = layout.records_not_stored;
  end.statistics.rows.resize(layout.row_count);
  for (protocol::statistics_row& row : end.statistics.rows) (void)in.take(row);
  for (uint32_t i = 0; i < layout.raised_count; ++i) {
    raised_entry entry{};
    (void)in.take(entry);
    end.raised.by_type[static_cast<uint16_t>(entry.type)] = entry.count;
  }
  if (walks_from_start_ && end.records_stored > expected_records_)
    missing_records_ += end.records_stored - expected_records_;
  end_ = std::move(end);
}

// 0: the file has no trailer.
uint64_t recording_reader::last_index() {
  trailer last{};
  indexed_ = size_ >= sizeof last && is_trailer(size_ - sizeof last, &last);
  return indexed_ ? last.index_offset : 0;
}

// Moves `offset` to the index before this one, 0 if there is none. False: it is damaged; whoever walks from
// the start will meet the damage again and describe it.
bool recording_reader::read_index(uint64_t& offset, std::vector<index_entry>& entries) {
  block_header header{};
  indexed_ = false;
  if (!read_header(offset, header).empty() || header.kind != block_kind::index) return false;
  const size_t faults = faults_.size();
  content_reader in(content({offset, header}));
  index_content layout{};
  if (faults_.size() != faults || !in.take(layout) || layout.entry_count > in.left() / sizeof(index_entry)) {
    faults_.resize(std::min(faults, faults_.size()));
    return false;
  }
  // Backwards only: a chain that somebody made up ends as well.
  if (layout.previous_index >= offset) return false;
  entries.resize(layout.entry_count);
  for (index_entry& entry : entries) {
    (void)in.take(entry);
    if (entry.offset >= offset) return false;
  }
  offset = layout.previous_index;
  indexed_ = true;
  return true;
}

}  // namespace sluice::recording
