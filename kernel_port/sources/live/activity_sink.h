// Where the live source raises what it found. machine_sink.h does it on the simulated machine; tests keep a list.
// Every function is called by the one pump thread, in the order in which things happened.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace sluice::live {

// The CPU and the task in which something happened. pid and tid are 0 where the task is not known here (another pid
// namespace).
struct activity_place {
  uint32_t cpu = 0;
  uint32_t pid = 0;
  uint32_t tid = 0;
};

struct process_description {
  uint32_t pid = 0;
  uint32_t parent_pid = 0;
  std::optional<std::string> image_path;    // bytes, as Linux gives them
  std::optional<std::string> command_line;
};

struct image_description {
  uint32_t pid = 0;
  uint64_t base = 0;
  uint64_t size = 0;
  std::optional<std::string> path;
};

class activity_sink {
 public:
  virtual ~activity_sink() = default;

  // There already when the source started: known from now on, nothing is raised.
  virtual void add_existing_process(const process_description& process) = 0;
  virtual void add_existing_thread(uint32_t pid, uint32_t tid) = 0;

  virtual void create_process(const activity_place& place, const process_description& process) = 0;
  // Its remaining threads end with it.
  virtual void exit_process(const activity_place& place, uint32_t pid) = 0;
  virtual void create_thread(const activity_place& place, uint32_t pid, uint32_t tid) = 0;
  virtual void exit_thread(const activity_place& place, uint32_t pid, uint32_t tid) = 0;
  virtual void load_image(const activity_place& place, const image_description& image) = 0;

  // How many of these the machine refused so far (a pid in use, for example).
  virtual uint64_t refused() const { return 0; }
};

}  // namespace sluice::live
