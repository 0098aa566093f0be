// Whether what the fuzzers of recordings and images begin with can be read to its end: a seed that is refused leads nowhere, and
// nobody would see it. seeds_hold RECORDING ... -- IMAGE ...; each file has the fuzzer's own byte in front.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <string_view>
#include <vector>

#include "consumers/event_stream.h"
#include "consumers/image/image_source.h"
#include "consumers/recording/file_source.h"
#include "tests/fuzz/input_file.h"

using namespace sluice;

int main(int count, char** arguments) {
  bool images = false;
  for (int i = 1; i < count; ++i) {
    if (std::string_view(arguments[i]) == "--") {
      images = true;
      continue;
    }
    std::ifstream from(arguments[i], std::ios::binary);
    const std::vector<uint8_t> content{std::istreambuf_iterator<char>(from), {}};
    if (content.empty()) return 1;
    const fuzz::input_file file(std::span<const uint8_t>(content).subspan(1));
    try {
      std::unique_ptr<event_source> source;
      if (images) {
        source = std::make_unique<image::image_source>(file.path());
      } else {
        source = std::make_unique<recording::file_source>(file.path());
      }
      event_stream stream(*source);
      uint64_t events = 0;
      while (stream.last_read() != read_status::end) {
        while (stream.next(std::chrono::seconds(1)) != nullptr) ++events;
      }
      std::printf("%s: %llu events\n", arguments[i], static_cast<unsigned long long>(events));
      if (events < 10) return 1;
    } catch (const std::exception& refused) {
      std::printf("%s\n", refused.what());
      return 1;
    }
  }
  return 0;
}
