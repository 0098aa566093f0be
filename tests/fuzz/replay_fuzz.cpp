// Reads any bytes as a recording in JSON Lines, and plans how it would be raised.
#include <optional>

#include "kernel_port/sources/replay/raise_plan.h"
#include "kernel_port/sources/replay/repaired_recording.h"
#include "tests/fuzz/input_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::replay;
  const sluice::fuzz::input_file file({data, size});
  std::optional<repaired_recording> recording;
  try {
    recording.emplace(file.path());
  } catch (const replay_error&) {
    return 0;
  }
  // Nobody changes the file: what was looked through is read again.
  raise_plan plan(4, 16, 1, recording->hosts());
  repaired_event event;
  uint64_t given = 0;
  while (recording->next(event)) {
    const planned_event planned = plan.next(std::move(event));
    if (planned.lane >= 4 || planned.cpu >= 16) std::abort();
    ++given;
  }
  if (given != recording->counts().lines) std::abort();  // the repair neither loses nor invents
  return 0;
}
