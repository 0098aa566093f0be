// --filter FILE, where a driver is asked.
#include "consumers/tool/filter_option.h"

#include "producers/filter_message.h"
#include "tests/consumers/file_on_disk.h"
#include "tests/consumers/scripted_source.h"

namespace sluice::tool {
namespace {

using namespace test;

file_on_disk filter_file(std::string_view text) {
  return file_on_disk({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

TEST(filter_option, a_filter_that_the_driver_takes_is_described) {
  const file_on_disk file = filter_file("[keys]\ninclude = ['\\REGISTRY\\MACHINE\\A',\n'\\REGISTRY\\MACHINE\\B']\n");
  scripted_source source;
  const std::vector<std::string> lines = filter_option(file.path()).apply(source);
  ASSERT_FALSE(lines.empty());
  for (const std::string& line : lines) EXPECT_EQ(line.rfind("sluice: filter: ", 0), 0u) << line;
  EXPECT_FALSE(source.filter_message.empty());
}

TEST(filter_option, a_filter_that_the_driver_refuses_is_an_error_at_its_place_in_the_file) {
  const file_on_disk file = filter_file("[keys]\ninclude = ['\\REGISTRY\\MACHINE\\A',\n'\\REGISTRY\\MACHINE\\B']\n");
  scripted_source source;
  filter_option option(file.path());
  uint32_t offset = 0;
  const auto refuse = [&](std::span<const uint8_t> message) {
    filter_header header{};
    std::memcpy(&header, message.data(), sizeof header);
    offset = header.keys.offset + uint32_t{sizeof(filter_path)};  // of the second path
    return filter_answer{static_cast<uint32_t>(filter_error::path_form), offset, 0};
  };
  try {
    (void)option.apply(source, refuse);
    FAIL() << "it was taken";
  } catch (const filter_error_list& error) {
    EXPECT_EQ(std::string(error.what()),
              "the filter cannot be used:\n" + file.path() +
                  ":3:1: error: the driver refuses the filter: a path that is not absolute, ends in a separator, or has an empty "
                  "component (error 13, offset " + std::to_string(offset) + ")");
  }
}

}  // namespace
}  // namespace sluice::tool
