// A recording in an order that could have happened: the events of a file, repaired.
//
// What a log records late is moved to where it must have been, per process (host and GUID):
//   - a process is created before, and ends after, everything else that it does;
//   - what is stamped later than the last exit happens just before it;
//   - order: time, creations first, exits last, then the file's.
// A step back of more than a minute is a jump of the clock (or a second recording behind the first): the repair begins
// anew there, and nothing is moved across it.
//
// The file is read three times: to learn of the processes, to collect the events that have to move, and to merge those
// with the rest as it streams by. What has been appended since the first time is left out; what is not there any more is an error.
// Memory grows with processes and moved events, both bounded, not with the file. One thread at a time.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernel_port/sources/replay/json_line.h"
#include "kernel_port/sources/replay/line_reader.h"

namespace sluice::replay {

// A recording that cannot be replayed. The text names file and place.
class replay_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// How far a recording has been read.
struct reading_progress {
  uint32_t pass = 0;  // 1, 2: it is being looked through; 3: it is being replayed
  uint64_t bytes = 0, of_bytes = 0;
};

struct repair_counts {
  uint64_t lines = 0;       // that hold an event
  uint64_t bad_lines = 0;   // passed over, described in faults
  uint64_t moved = 0;       // to another place
  uint64_t jumps_back = 0;  // of more than a minute
  uint64_t processes = 0;
};

struct repaired_event {
  recorded_event event;
  uint32_t segment = 0;  // rises at each jump back
  uint64_t time = 0;     // where it belongs; event.time is as recorded
};

class repaired_recording {
 public:
  static constexpr uint64_t jump = 600'000'000;  // a minute
  static constexpr size_t most_processes = 1'000'000;
  static constexpr size_t most_hosts = 32;
  static constexpr size_t most_moved_bytes = 256u << 20;

  // Reads the file twice. `watch` is called now and then; false from it gives up. Throws replay_error, std::system_error.
  explicit repaired_recording(const std::string& path, const std::function<bool(const reading_progress&)>& watch = {});
  ~repaired_recording();
  repaired_recording(const repaired_recording&) = delete;
  repaired_recording& operator=(const repaired_recording&) = delete;

  // The next event; false: there is none. Throws replay_error where the file has become shorter, or cannot be read on.
  bool next(repaired_event& event);
  reading_progress progress() const;

  const repair_counts& counts() const { return counts_; }
  // In the order in which the file names them.
  const std::vector<std::string>& hosts() const { return hosts_; }
  // What was wrong with the file, one line each with file and line number; the first 1000.
  const std::vector<std::string>& faults() const { return faults_; }
  uint64_t all_faults() const { return all_faults_; }

 private:
  enum class rank : uint8_t { creation, other, exit };
  struct place {
    uint32_t segment;
    uint64_t time;
    rank order;
    uint64_t line;
    auto operator<=>(const place&) const = default;
  };
  struct process_span {
    uint64_t first = ~uint64_t{0};  // of any of its events
    uint64_t last_exit = 0;
    bool exits = false;
  };
  struct moved_event {
    place where;
    recorded_event event;
  };
  // One reading of the file.
  struct pass {
    explicit pass(const std::string& path) : lines(path) {}
    line_reader lines;
    json_parser parser;
    uint64_t events = 0;   // read again
    uint64_t newest = 0;   // time in this segment
    uint32_t segment = 0;
    place furthest{0, 0, rank::creation, 0};  // of the events that stay where they are
  };

  bool read_event(pass& from, recorded_event& event, bool tells);
  bool read_again(pass& from, recorded_event& event);
  std::string key_of(const recorded_event& event, uint32_t segment) const;
  place place_of(const recorded_event& event, uint32_t segment) const;
  bool stays(pass& in, const place& where) const;
  void fault(uint64_t line, const std::string& what);
  void learn(const std::function<bool(const reading_progress&)>& watch);
  void collect(const std::function<bool(const reading_progress&)>& watch);

  const std::string path_;
  std::unordered_map<std::string, process_span> processes_;
  std::vector<moved_event> moved_;
  size_t next_moved_ = 0;
  std::unique_ptr<pass> stream_;
  repaired_event staying_;  // the next that was not moved
  place staying_place_{};
  bool has_staying_ = false;
  repair_counts counts_;
  std::vector<std::string> hosts_;
  std::vector<std::string> faults_;
  uint64_t all_faults_ = 0;
};

}  // namespace sluice::replay
