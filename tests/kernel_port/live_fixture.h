// What the tests of the live source share: a sink that writes down what was raised, names that a test sets, and records
// made by hand.
#pragma once

#include <fmt/format.h>

#include <map>
#include <string>
#include <vector>

#include "kernel_port/sources/live/activity_sink.h"
#include "kernel_port/sources/live/linux_record.h"
#include "kernel_port/sources/live/name_source.h"

namespace sluice::live {

// One line per call, such as "create 10 parent 1 /bin/true [true] in 1.1".
class recording_sink : public activity_sink {
 public:
  std::vector<std::string> lines;

  void add_existing_process(const process_description& process) override {
    lines.push_back(fmt::format("existing {}", process.pid));
  }
  void add_existing_thread(uint32_t pid, uint32_t tid) override {
    lines.push_back(fmt::format("existing thread {}.{}", pid, tid));
  }
  void create_process(const activity_place& place, const process_description& process) override {
    lines.push_back(fmt::format("create {} parent {} {} [{}] in {}", process.pid, process.parent_pid,
                                process.image_path.value_or("?"), process.command_line.value_or("?"), at(place)));
  }
  void exit_process(const activity_place& place, uint32_t pid) override {
    lines.push_back(fmt::format("exit {} in {}", pid, at(place)));
  }
  void create_thread(const activity_place& place, uint32_t pid, uint32_t tid) override {
    lines.push_back(fmt::format("thread {}.{} in {}", pid, tid, at(place)));
  }
  void exit_thread(const activity_place& place, uint32_t pid, uint32_t tid) override {
    lines.push_back(fmt::format("thread exit {}.{} in {}", pid, tid, at(place)));
  }
  void load_image(const activity_place& place, const image_description& image) override {
    lines.push_back(fmt::format("image {} {:x}+{:x} {} in {}", image.pid, image.base, image.size,
                                image.path.value_or("?"), at(place)));
  }

 private:
  static std::string at(const activity_place& place) { return fmt::format("{}.{}", place.pid, place.tid); }
};

class fake_names : public name_source {
 public:
  uint64_t time = 0;                               // what now() says
  std::map<int32_t, command_line_read> answers;    // a pid without one is gone
  std::map<int32_t, std::string> image_paths;
  int reads = 0;

  void has_arguments(int32_t pid, const std::string& line, uint64_t started = 0) {
    answers[pid] = {.result = command_line_read::outcome::read, .command_line = line, .started = started};
  }
  void has_no_arguments_yet(int32_t pid) { answers[pid] = {.result = command_line_read::outcome::not_yet}; }

  command_line_read read_command_line(int32_t pid) override {
    ++reads;
    auto found = answers.find(pid);
    return found == answers.end() ? command_line_read{} : found->second;
  }
  std::optional<std::string> read_image_path(int32_t pid) override {
    auto found = image_paths.find(pid);
    if (found == image_paths.end()) return std::nullopt;
    return found->second;
  }
  uint64_t now() override { return time; }
};

struct task {
  int32_t pid;
  int32_t tid;
};

inline linux_record fork_record(uint64_t time, task parent, task child, uint32_t cpu = 0) {
  return {.kind = record_kind::fork,
          .cpu = cpu,
          .time = time,
          .pid = child.pid,
          .tid = child.tid,
          .parent_pid = parent.pid,
          .parent_tid = parent.tid};
}
inline linux_record exit_record(uint64_t time, task which, uint32_t cpu = 0) {
  return {.kind = record_kind::exit, .cpu = cpu, .time = time, .pid = which.pid, .tid = which.tid};
}
inline linux_record exec_record(uint64_t time, task which, uint32_t cpu = 0) {
  return {.kind = record_kind::name, .exec = true, .cpu = cpu, .time = time, .pid = which.pid, .tid = which.tid};
}
inline linux_record map_record(uint64_t time, task which, const std::string& path, uint64_t address = 0x1000,
                               uint32_t cpu = 0) {
  return {.kind = record_kind::mapping,
          .cpu = cpu,
          .time = time,
          .pid = which.pid,
          .tid = which.tid,
          .address = address,
          .length = 0x100,
          .text = path};
}
inline linux_record lost_record(uint64_t time, uint64_t count) {
  return {.kind = record_kind::lost, .time = time, .lost = count};
}

}  // namespace sluice::live
