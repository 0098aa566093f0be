#include "kernel_port/sim/memory_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>

#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

// A name that nobody has: the directory is this test's own.
class own_directory {
 public:
  own_directory() { EXPECT_NE(::mkdtemp(name_), nullptr); }
  ~own_directory() { ::rmdir(name_); }
  own_directory(const own_directory&) = delete;
  own_directory& operator=(const own_directory&) = delete;
  std::string file() const { return std::string(name_) + "/memory"; }

 private:
  char name_[40] = "/tmp/sluice_memory_XXXXXX";
};

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct kept_memory : testing::Test {
  own_directory directory;
  memory_file file{directory.file()};
};

TEST_F(kept_memory, holds_what_is_stored_in_nonpaged_blocks_of_a_page_or_more) {
  machine system{{.memory = &file}};
  activity thread{system, 0, 100, 101};
  auto* const small = static_cast<char*>(ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, 'tset'));
  auto* const large = static_cast<char*>(ExAllocatePool2(POOL_FLAG_NON_PAGED, 3 * PAGE_SIZE, 'tset'));
  auto* const paged = static_cast<char*>(ExAllocatePool2(POOL_FLAG_PAGED, 3 * PAGE_SIZE, 'tset'));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(large) % PAGE_SIZE, 0u);
  EXPECT_TRUE(std::all_of(large, large + 3 * PAGE_SIZE, [](char byte) { return byte == 0; }));
  strcpy(small, "a small block");
  strcpy(large + 2 * PAGE_SIZE, "a large block");
  strcpy(paged, "a paged block");
  const std::string content = content_of(file.path());
  EXPECT_EQ(content.find("a large block") % PAGE_SIZE, 0u);
  EXPECT_EQ(content.find("a small block"), std::string::npos);
  EXPECT_EQ(content.find("a paged block"), std::string::npos);
  ExFreePool(small);
  ExFreePool(large);
  ExFreePool(paged);
}

TEST_F(kept_memory, forgets_what_is_freed_and_gives_its_place_to_others) {
  void* const first = file.allocate(2 * PAGE_SIZE);
  void* const second = file.allocate(PAGE_SIZE);
  void* const third = file.allocate(PAGE_SIZE);
  strcpy(static_cast<char*>(first), "the first");
  strcpy(static_cast<char*>(second), "the second");
  EXPECT_TRUE(file.free(first));
  EXPECT_TRUE(file.free(second));
  EXPECT_FALSE(file.free(second)) << "it is none of this file any more";
  EXPECT_EQ(content_of(file.path()).find("the "), std::string::npos);
  const size_t size = content_of(file.path()).size();
  auto* const again = static_cast<char*>(file.allocate(3 * PAGE_SIZE));  // both places, which are neighbours
  ASSERT_NE(again, nullptr);
  EXPECT_TRUE(std::all_of(again, again + 3 * PAGE_SIZE, [](char byte) { return byte == 0; }));
  EXPECT_EQ(content_of(file.path()).size(), size);
  EXPECT_TRUE(file.free(again));
  EXPECT_TRUE(file.free(third));
}

TEST(memory_file, is_removed_when_nobody_needs_it_and_never_written_over) {
  const own_directory directory;
  {
    const memory_file first(directory.file());
    EXPECT_EQ(::access(directory.file().c_str(), F_OK), 0);
    EXPECT_THROW(memory_file second(directory.file()), std::system_error);
  }
  EXPECT_NE(::access(directory.file().c_str(), F_OK), 0);
}

TEST(memory_file, a_full_disk_is_an_allocation_that_fails) {
  const own_directory directory;
  memory_file file(directory.file());
  void* const fits = file.allocate(PAGE_SIZE);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit little{4 * PAGE_SIZE, before.rlim_max};
  void (*const handler)(int) = ::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &little), 0);
  void* const too_large = file.allocate(16 * PAGE_SIZE);
  void* const still_fits = file.allocate(PAGE_SIZE);
  EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, handler);
  EXPECT_EQ(too_large, nullptr);
  ASSERT_NE(still_fits, nullptr) << "what was asked for in vain is still there for others";
  *static_cast<char*>(still_fits) = 1;
  EXPECT_TRUE(file.free(fits));
  EXPECT_TRUE(file.free(still_fits));
}

}  // namespace
}  // namespace sluice::sim
