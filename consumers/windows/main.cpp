// sluice.exe
#include <fcntl.h>
#include <io.h>
#include <windows.h>

#include <cstdio>
#include <optional>

#include "consumers/os/windows/wide.h"
#include "consumers/tool/connected_requests.h"
#include "consumers/tool/connected_watch.h"
#include "consumers/tool/filter_option.h"
#include "consumers/tool/program.h"
#include "consumers/tool/stop_signals.h"
#include "consumers/windows/command_line.h"

namespace {

using namespace sluice::tool;

// Text is UTF-8, also on a console that had another code page before, and has it again afterwards.
class utf8_console {
 public:
  utf8_console() : before_(::GetConsoleOutputCP()) { ::SetConsoleOutputCP(CP_UTF8); }
  ~utf8_console() {
    if (before_ != 0) ::SetConsoleOutputCP(before_);
  }
  utf8_console(const utf8_console&) = delete;
  utf8_console& operator=(const utf8_console&) = delete;

 private:
  const UINT before_;
};

int run(const command_line& parsed) {
  switch (parsed.run) {
    case command_line::command::stats: return stats_connected(parsed.connect);
    case command_line::command::check_filter: return check_filter(parsed.filter_path);
    case command_line::command::show_filter: return show_filter(parsed.connect);
    case command_line::command::set_filter: return set_filter(parsed.connect, parsed.filter_path);
    case command_line::command::clear_filter: return clear_filter(parsed.connect);
    default: break;
  }
  std::optional<filter_option> filter;
  if (!parsed.watch.filter_path.empty()) filter.emplace(parsed.watch.filter_path);
  stop_signals signals;
  return watch_connected(parsed.watch, filter ? &*filter : nullptr, signals);
}

// What a status means to whoever has the tool in hand.
std::string hint(const std::exception& error) {
  const auto* const by_kernel = dynamic_cast<const sluice::nt_error*>(&error);
  switch (by_kernel != nullptr ? by_kernel->status() : sluice::nt::success) {
    case sluice::nt::object_name_not_found: return ": the driver is not loaded (sc start sluice)";
    case sluice::nt::access_denied: return ": that takes an administrator";
    case sluice::nt::not_supported: return ": this kernel, or the driver's options, do not offer it; --transport chooses another way";
    case sluice::nt::sharing_violation: return ": another client has it";
    default: return "";
  }
}

}  // namespace

int wmain(int count, wchar_t** arguments) {
  const utf8_console console;
  // LF is LF, and what is printed in large amounts goes past the C run-time library anyway.
  ::_setmode(1, _O_BINARY);
  ::_setmode(2, _O_BINARY);
  std::setvbuf(stderr, nullptr, _IONBF, 0);  // what is said is said at once; not every C run-time library has it so
  const auto whole = [&] {
    std::vector<std::string> words;
    for (int i = 1; i < count; ++i) words.push_back(sluice::os::from_wide(arguments[i]));
    const command_line parsed = parse_windows_command_line(std::move(words));
    return parsed.run == command_line::command::none ? parsed.exit_code : run(parsed);
  };
  return run_program(whole, &hint);
}
