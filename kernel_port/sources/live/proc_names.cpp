#include "kernel_port/sources/live/proc_names.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <vector>

#include "kernel_port/sources/live/command_line.h"

namespace sluice::live {
namespace {

constexpr size_t max_file_bytes = 128 * 1024;  // more than a UNICODE_STRING can hold of any text
constexpr uint64_t second = 1'000'000'000;

uint64_t read_clock(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * second + static_cast<uint64_t>(time.tv_nsec);
}

std::optional<std::string> read_file(const std::string& path) {
  int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return std::nullopt;
  std::string text;
  std::array<char, 4096> part;
  ssize_t count = 0;
  while (text.size() < max_file_bytes) {
    count = read(descriptor, part.data(), part.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    text.append(part.data(), static_cast<size_t>(count));
  }
  close(descriptor);
  if (count < 0) return std::nullopt;
  return text;
}

}  // namespace

std::optional<process_stat> parse_process_stat(const std::string& line, uint64_t ticks_per_second,
                                               int64_t boottime_ahead) {
  // pid (name) state ppid ...: the name may hold anything, so the fields are counted from its last parenthesis.
  size_t open = line.find('(');
  size_t close = line.rfind(')');
  if (open == std::string::npos || close == std::string::npos || close < open) return std::nullopt;
  process_stat stat;
  stat.name = line.substr(open + 1, close - open - 1);

  std::vector<std::string_view> fields;  // from field 3 (state) on
  std::string_view rest = std::string_view(line).substr(close + 1);
  while (!rest.empty()) {
    size_t begin = rest.find_first_not_of(" \n");
    if (begin == std::string_view::npos) break;
    size_t end = std::min(rest.find_first_of(" \n", begin), rest.size());
    fields.push_back(rest.substr(begin, end - begin));
    rest.remove_prefix(end);
  }
  auto field = [&](size_t number) {  // as proc(5) counts them
    uint64_t value = 0;
    if (number - 3 < fields.size()) {
      std::string_view text = fields[number - 3];
      std::from_chars(text.data(), text.data() + text.size(), value);
    }
    return value;
  };
  constexpr size_t start_time = 22;
  if (fields.size() <= start_time - 3) return std::nullopt;
  stat.parent_pid = static_cast<int32_t>(field(4));
  constexpr uint64_t kernel_thread_flag = 0x00200000;  // PF_KTHREAD
  stat.kernel_thread = (field(9) & kernel_thread_flag) != 0;
  uint64_t ticks = field(start_time);
  int64_t boottime = static_cast<int64_t>(ticks / ticks_per_second * second +
                                          ticks % ticks_per_second * second / ticks_per_second);
  stat.started = boottime > boottime_ahead ? static_cast<uint64_t>(boottime - boottime_ahead) : 0;
  return stat;
}

std::optional<process_stat> read_process_stat(int32_t pid) {
  auto text = read_file(fmt::format("/proc/{}/stat", pid));
  if (!text) return std::nullopt;
  // Start times count suspended time, the clock of the records does not. MONOTONIC is read first: the difference comes
  // out too large rather than too small, and the start too early rather than too late.
  uint64_t monotonic = read_clock(CLOCK_MONOTONIC);
  uint64_t boottime = read_clock(CLOCK_BOOTTIME);
  static const auto ticks_per_second = static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
  return parse_process_stat(*text, ticks_per_second, static_cast<int64_t>(boottime - monotonic));
}

command_line_read proc_names::read_command_line(int32_t pid) {
  command_line_read result;
  auto arguments = read_file(fmt::format("/proc/{}/cmdline", pid));
  if (!arguments) return result;
  // The same pid after the read: if it had been given to another process since, that one's start tells.
  auto stat = read_process_stat(pid);
  if (!stat) return result;
  result.parent_pid = stat->parent_pid;
  result.started = stat->started;
  result.result = arguments->empty() ? command_line_read::outcome::not_yet : command_line_read::outcome::read;
  result.command_line = join_command_line(*arguments);
  return result;
}

std::optional<std::string> proc_names::read_image_path(int32_t pid) {
  std::string path(4096, '\0');
  ssize_t length = readlink(fmt::format("/proc/{}/exe", pid).c_str(), path.data(), path.size());
  if (length <= 0) return std::nullopt;
  path.resize(static_cast<size_t>(length));
  return path;
}

uint64_t proc_names::now() { return read_clock(CLOCK_MONOTONIC); }

}  // namespace sluice::live
