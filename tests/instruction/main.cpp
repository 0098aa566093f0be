// instruction_test [--long] [googletest's arguments]: the tests, and a closing line that says what they did.
#include <cstring>

#include "tests/instruction/stepper.h"
#include "tests/instruction/tally.h"

int main(int count, char** arguments) {
  using namespace sluice::instruction;
  testing::InitGoogleTest(&count, arguments);
  for (int i = 1; i < count; ++i) {
    if (std::strcmp(arguments[i], "--long") == 0) {
      long_run = true;
    } else {
      const bool help = std::strcmp(arguments[i], "--help") == 0;
      std::fprintf(help ? stdout : stderr,
                   "usage: instruction_test [--long] [--gtest_...]\n"
                   "  --long  every length at every place, every pair of instructions (minutes instead of seconds)\n");
      return help ? 0 : 2;
    }
  }
  const int status = RUN_ALL_TESTS();
  const tally& all = tally::total();
  const auto& tests = *testing::UnitTest::GetInstance();
  if (why_not_stepped() != nullptr) {
    std::printf("Every instruction: SKIPPED, nothing was shown: %s\n", why_not_stepped());
  } else if (status != 0) {
    std::printf("Every instruction: BROKEN, see above\n");
  } else {
    std::printf("Every instruction (%s bounds, docs/proof.md, %d of %d tests): R1-R6, M1-M3 and W1 held at %llu instructions of\n"
                "%llu runs, and to the end of %llu continuations: other producers, the consumer, a kill, nested three deep\n",
                long_run ? "long" : "short", tests.test_to_run_count(), tests.total_test_count(), static_cast<unsigned long long>(all.boundaries),
                static_cast<unsigned long long>(all.runs), static_cast<unsigned long long>(all.continuations));
  }
  return status;
}
