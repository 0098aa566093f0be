// Walks the blocks of a recording (consumers/recording/format.h), whoever wrote it and whatever happened to
// it since.
//
// A block that is damaged is described and passed over; the next one that is whole is found by its header.
// Memory does not grow with the file. One thread at a time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "consumers/event_source.h"
#include "consumers/recording/block.h"

namespace sluice::recording {

// The file is no recording, or cannot be read. The text names the file.
class recording_error : public source_error {
 public:
  using source_error::source_error;
};

struct block_place {
  uint64_t offset = 0;
  block_header header{};
};

struct recording_end {
  end_reason reason{};
  bool has_statistics = false;
  uint64_t records_stored = 0;
  uint64_t records_not_stored = 0;
  driver_statistics statistics;
  raised_callbacks raised;
};

class recording_reader {
 public:
  // Reads the header and the about block. Throws recording_error.
  explicit recording_reader(const std::string& path);
  ~recording_reader();
  recording_reader(const recording_reader&) = delete;
  recording_reader& operator=(const recording_reader&) = delete;

  const recording_header& header() const { return header_; }
  const protocol::capabilities& capabilities() const { return capabilities_; }
  const std::string& title() const { return title_; }
  // Declarations that stood at the beginning, as protocol::code_types gives them.
  const std::vector<uint8_t>& types() const { return types_; }
  uint64_t file_bytes() const { return size_; }
  uint64_t position() const { return offset_; }  // how far next() has come

  // The next whole block header; none: the end. Blocks of kinds that this version does not know come as well.
  std::optional<block_place> next();
  // Goes on at this block, which next() or the index has given.
  void go_to(uint64_t offset) {
    offset_ = offset;
    walks_from_start_ = ended_ = false;
  }
  void go_to_start();
  // Decompressed; valid until the next call. Empty if it is damaged, which is described.
  std::span<const uint8_t> content(const block_place& place);

  // The blocks that the index names, from the last to the first. False: the file has no index, or it is
  // damaged; then some of them may have been named.
  template <class function>
  bool for_each_indexed(function&& use) {
    uint64_t at = last_index();
    std::vector<index_entry> entries;
    while (at != 0) {
      if (!read_index(at, entries)) return false;
      for (size_t i = entries.size(); i-- > 0;) use(block_place{entries[i].offset, entries[i].header});
    }
    return indexed_;
  }

  // From the end block, once next() has passed it.
  const std::optional<recording_end>& end() const { return end_; }

  // True: the file ends in the middle of something, or has no end. After next() has said that nothing is
  // left.
  bool torn() const { return torn_; }
  // Known to have been stored and not found whole, as far as next() has come.
  uint64_t missing_records() const { return missing_records_; }
  std::vector<std::string> take_faults();

 private:
  [[noreturn]] void refuse(const std::string& what) const;
  void fault(uint64_t offset, const std::string& what);
  size_t read_at(uint64_t offset, void* to, size_t bytes) const;
  std::string read_header(uint64_t offset, block_header& header) const;
  bool is_trailer(uint64_t offset, trailer* found = nullptr) const;
  bool find_next(uint64_t from, uint64_t& found, block_header& header) const;
  void read_about();
  void read_end(const block_place& place);
  uint64_t last_index();
  bool read_index(uint64_t& offset, std::vector<index_entry>& entries);

  const std::string path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
  recording_header header_{};
  protocol::capabilities capabilities_{};
  std::string title_;
  std::vector<uint8_t> types_;
  block_unpacker unpacker_;
  std::vector<uint8_t> stored_;
  uint64_t offset_ = 0;
  uint64_t expected_records_ = 0;  // records_before of the next events block
  uint64_t missing_records_ = 0;
  bool walks_from_start_ = true;
  bool indexed_ = false;
  bool torn_ = false;
  bool ended_ = false;
  std::optional<recording_end> end_;
  std::vector<std::string> faults_;
};

}  // namespace sluice::recording
