// Writes a recording (consumers/recording/format.h): takes batches as they were read, gathers them into
// blocks, and keeps what a reader needs later beside them. One thread at a time.
//
// A block goes to the file when it is large enough or a second old, whole or not at all. Room for the
// accounts and the index is always asked for ahead, so that a full disk ends a recording, and does not cut
// it.
#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "consumers/accounting.h"
#include "consumers/recording/block.h"
#include "consumers/recording/output_file.h"

namespace sluice::recording {

struct about_recording {
  protocol::capabilities capabilities{};
  std::vector<uint8_t> types;  // declarations, as protocol::code_types gives them
  std::string title;           // what was recorded, for people
  uint64_t file_id = 0;
  uint64_t created_utc = 0;
};

class recording_writer {
 public:
  static constexpr size_t usual_block_bytes = 256 * 1024;
  static constexpr std::chrono::seconds oldest_block{1};

  // Writes the header and the about block. The file outlives the writer. Throws std::system_error.
  recording_writer(output_file& to, const about_recording& about, size_t block_bytes = usual_block_bytes);
  ~recording_writer();  // without end(): what was read is kept, the accounts are not
  recording_writer(const recording_writer&) = delete;
  recording_writer& operator=(const recording_writer&) = delete;

  // Once the file has failed, batches are counted and not kept. A batch that contradicts itself is kept as
  // far as it can be read. False: not, or not wholly, kept.
  bool add(std::span<const uint8_t> batch_untrusted);
  // Writes a block that has become old enough. Call it now and then.
  void look_at_clock();
  // The end: what is still in memory, the accounts, the index. `statistics` and `raised` may be null. Nothing
  // after it.
  void end(const driver_statistics* statistics, const raised_callbacks* raised);

  int error() const { return error_; }  // errno of the file's failure; 0: none
  uint64_t records_stored() const { return records_stored_; }
  uint64_t records_not_stored() const { return records_not_stored_; }
  uint64_t blocks() const { return sequence_; }
  uint64_t file_bytes() const { return offset_; }
  uint64_t content_bytes() const { return content_bytes_; }  // of the events, before compression

 private:
  struct open_block {
    std::vector<uint8_t> content;
    uint64_t first_time = 0, last_time = 0;
    uint32_t records = 0;
    bool clock_changes = false;
    anchor_payload anchor{};
    std::chrono::steady_clock::time_point since{};
  };

  void note(const delivered_record& record);
  void note_declaration(std::span<const uint8_t> payload);
  void write_events();
  void write_types();
  void write_index();
  bool write_block(block_kind kind, std::span<const uint8_t> content, block_header header = {});
  uint64_t closing_bytes() const;

  output_file& to_;
  const uint64_t file_id_;
  const uint32_t cpu_count_;
  const size_t block_bytes_;
  block_packer packer_;
  uint64_t offset_ = 0;  // behind the last whole block
  uint64_t sequence_ = 0;
  uint64_t previous_index_ = 0;
  std::vector<index_entry> index_;  // since the last index block
  open_block open_;
  anchor_payload anchor_{};
  std::vector<uint8_t> new_types_;  // declared since the last types block
  uint64_t records_stored_ = 0;
  uint64_t records_not_stored_ = 0;
  uint64_t content_bytes_ = 0;
  int error_ = 0;
  bool ended_ = false;
};

}  // namespace sluice::recording
