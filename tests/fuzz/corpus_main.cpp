// Runs a fuzz target without a fuzzer: over every file that is named, over prefixes of it, and over files with bytes
// changed, always the same ones. corpus_main VARIANTS FILE...
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int count, char** arguments) {
  const int mutations = count > 1 ? std::atoi(arguments[1]) : 0;
  std::mt19937 random(42);
  for (int i = 2; i < count; ++i) {
    std::ifstream file(arguments[i], std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "cannot read %s\n", arguments[i]);
      return 1;
    }
    const std::vector<uint8_t> content{std::istreambuf_iterator<char>(file), {}};
    LLVMFuzzerTestOneInput(content.data(), content.size());
    for (int round = 0; round < mutations; ++round) {
      std::vector<uint8_t> changed = content;
      if (round % 4 == 0) changed.resize(random() % (content.size() + 1));
      for (uint32_t n = 1 + random() % 8; n > 0 && !changed.empty(); --n) {
        // Also whole numbers at the ends of their ranges: lengths and counts are what matters.
        const size_t at = random() % changed.size();
        const uint8_t value = static_cast<uint8_t>(random() % 3 == 0 ? 0xff : random());
        for (size_t k = at; k < std::min(changed.size(), at + (random() % 2 ? 1 : 4)); ++k) changed[k] = value;
      }
      LLVMFuzzerTestOneInput(changed.data(), changed.size());
    }
    std::printf("%s: %d variants\n", arguments[i], mutations);
  }
  return 0;
}
