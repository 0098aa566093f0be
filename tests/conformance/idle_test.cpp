// While nothing happens, nobody runs: no thread of the machine, of its host or of the client leaves its wait.
#include <filesystem>
#include <fstream>

#include "tests/conformance/conformance_support.h"

namespace sluice::test {
namespace {

std::set<std::string> threads() {
  std::set<std::string> found;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) found.insert(thread.path().filename());
  return found;
}

// A sanitizer's own thread comes with the first of ours, and wakes up now and then: it is there after this.
const std::set<std::string> not_ours = [] {
  std::thread([] {}).join();
  return threads();
}();

// How often the threads of the test's making have gone to sleep so far: each time they were woken before.
uint64_t sleeps() {
  uint64_t sum = 0;
  for (const std::string& thread : threads()) {
    if (not_ours.contains(thread)) continue;
    std::ifstream status("/proc/self/task/" + thread + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("voluntary_ctxt_switches:")) sum += std::stoull(line.substr(line.find(':') + 1));
    }
  }
  return sum;
}

struct idle : conformance {};

// The documentation promises none. A window in which the end of what came before still wakes somebody is not the last one.
TEST_P(idle, wakes_nobody) {
  client reader(options());
  (void)load_images(10);
  (void)drain(reader);
  std::thread waiting([&] {
    while (reader.next({}) != nullptr) {
    }
  });
  uint64_t woken = 0;
  for (int window = 0; window < 5; ++window) {
    const uint64_t before = sleeps();
    std::this_thread::sleep_for(std::chrono::seconds(2));
    woken = sleeps() - before;
    if (woken == 0) break;
  }
  EXPECT_EQ(woken, 0u) << "in two seconds";
  reader.cancel();
  waiting.join();
}

INSTANTIATE_TEST_SUITE_P(over, idle, testing::ValuesIn(all_pairings()), name_of_pairing);

}  // namespace
}  // namespace sluice::test
