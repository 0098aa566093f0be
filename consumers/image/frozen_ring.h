// One ring of an image: copied out of it, walked record by record, and made whole, so that the ring reader and the merge
// that read living rings read it too.
//
//   oldest (tail, in overwrite mode)   consumed                   published
//           |                             |                          |
//   --------+-----------------------------+--------------------------+--------
//           | taken by a reader,          | not taken yet: complete, |
//           | still there                 | open, discarded records  |
//
// What a reader has taken is given, too, as far as it is still there: nobody knows whether the reader lived long enough to use it.
//
// Nothing of it is trusted. A record counts only if its header holds, if it ends where the next begins or the ring ends, and if
// the image has all of its bytes. Where the chain breaks, the walk goes on at the next place from which it holds again: a run
// of records with rising times, or one that ends exactly where the ring does. What lies between is damaged, with its
// place and reason.
//
// In the copy an open record becomes a discarded one, and so does what is damaged. One thread.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "consumers/image/region_copy.h"
#include "consumers/image/region_finder.h"
#include "pipeline/ring_reader.h"

namespace sluice::image {

// A record that was reserved or stamped, and never closed.
struct open_reservation {
  uint64_t position = 0;
  record_state state{};  // reserved: it had no time yet
  uint64_t time = 0;
  uint16_t type = 0;
  uint32_t length = 0;
  std::optional<uint32_t> pid, tid;  // who holds it, where its type tells
};

struct damaged_range {
  uint64_t position = 0;
  uint64_t bytes = 0;
  std::string reason;
};

struct ring_report {
  uint16_t cpu = 0;
  uint8_t lane = 0;
  uint64_t address = 0;  // in the image
  uint32_t capacity = 0;
  ring_mode mode = ring_mode::discard;
  uint64_t overwritten = 0;  // committed records before the oldest, read or not (overwrite mode)
  bool overwritten_at_most = false;  // its producer died while it moved the tail: some of them are still there
  uint64_t begin = 0;      // the oldest record that is still there
  uint64_t consumed = 0;   // what is before was taken by a reader
  uint64_t published = 0;  // where the ring ends
  uint64_t complete = 0;        // records that can be read
  uint64_t complete_bytes = 0;
  uint64_t taken = 0;           // of them: before `consumed`
  uint64_t discarded = 0;
  uint64_t out_of_order = 0;    // complete, and older than one before them
  uint64_t first_time = 0, last_time = 0;
  uint32_t longest = 0;         // record, bytes
  std::vector<open_reservation> open;
  std::vector<damaged_range> damage;
  std::vector<std::string> faults;  // what contradicts itself besides

  uint64_t damaged_bytes() const {
    uint64_t sum = 0;
    for (const damaged_range& range : damage) sum += range.bytes;
    return sum;
  }
  bool untouched() const { return begin == published && faults.empty(); }
};

struct ring_choice {
  bool unread_only = false;  // from `consumed` on
};

class frozen_ring {
 public:
  // Throws image_error if there is no memory for it.
  frozen_ring(const image_memory& memory, const found_region& found, const ring_choice& choice);

  const ring_report& report() const { return report_; }
  // The copy: whole, from report().begin on. Valid as long as this object.
  region_view<native_seam> view() const;
  loss_figures<native_seam>& loss() const { return view_.producer->loss; }
  bool loss_figures_are_here() const { return !copy_.lacks(0, region_page); }

 private:
  struct header_check {
    const char* reason = nullptr;  // null: it holds
    record_header header{};
  };

  void copy_data();
  void choose_begin(const ring_choice& choice);
  void choose_tail(uint32_t published, const ring_choice& choice);
  void take_everything(uint32_t published);
  uint32_t bytes_behind(uint32_t published, uint32_t consumed) const;
  void find_taken();
  void walk();
  record_header header_at(uint64_t position) const;
  header_check check_at(uint64_t position) const;
  void note(uint64_t position, const record_header& header);
  void close(uint64_t position, uint32_t length);
  void fill(uint64_t position, uint64_t end);
  uint64_t find_next(uint64_t position);
  void look_ahead();
  uint64_t past_missing(uint64_t position) const;
  uint64_t missing_behind(uint64_t position) const;
  uint32_t offset_of(uint64_t position) const {
    return static_cast<uint32_t>(position) & (view_.geometry.capacity - 1);
  }

  struct release {
    void operator()(uint8_t* memory) const { std::free(memory); }
  };
  region_copy copy_;
  region_view<native_seam> view_;
  ring_report report_;
  std::unique_ptr<uint8_t[], release> runs_;  // for each 8 bytes: how many records follow one another from there
  uint64_t last_time_ = 0;
};

}  // namespace sluice::image
