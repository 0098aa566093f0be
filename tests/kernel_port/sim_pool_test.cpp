#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

struct pool : testing::Test {
  machine system;
  activity thread{system, 0, 100, 101};
};
using pool_death_test = pool;

bool all_zero(const void* memory, size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(memory);
  for (size_t i = 0; i < size; ++i) {
    if (bytes[i] != 0) return false;
  }
  return true;
}

TEST_F(pool, gives_aligned_blocks_and_counts_them) {
  const uint64_t before = system.pool_allocations();
  void* small = ExAllocatePoolWithTag(NonPagedPoolNx, 10, 'tset');
  void* page = ExAllocatePoolWithTag(NonPagedPoolNx, PAGE_SIZE, 'tset');
  void* paged = ExAllocatePoolWithTag(PagedPool, 3 * PAGE_SIZE, 'tset');
  EXPECT_EQ(reinterpret_cast<uintptr_t>(small) % 16, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(page) % PAGE_SIZE, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(paged) % PAGE_SIZE, 0u);
  EXPECT_EQ(system.in_use().pool_blocks, 3u);
  EXPECT_EQ(system.in_use().pool_bytes, 10u + 4 * PAGE_SIZE);
  EXPECT_EQ(system.pool_allocations() - before, 3u);
  ExFreePoolWithTag(small, 'tset');
  ExFreePool(page);
  ExFreePoolWithTag(paged, 'tset');
  EXPECT_EQ(system.in_use().pool_blocks, 0u);
}

TEST_F(pool, pool2_and_pool_zero_clear_the_block) {
  for (int i = 0; i < 20; ++i) {  // reused memory too
    void* first = ExAllocatePool2(POOL_FLAG_NON_PAGED, 200, 'tset');
    void* second = ExAllocatePool2(POOL_FLAG_PAGED, 200, 'tset');
    void* third = ExAllocatePoolZero(NonPagedPoolNx, 200, 'tset');
    EXPECT_TRUE(all_zero(first, 200) && all_zero(second, 200) && all_zero(third, 200));
    memset(second, 1, 200);
    for (void* block : {first, second, third}) ExFreePool(block);
  }
  EXPECT_EQ(ExAllocatePool2(0, 10, 'tset'), nullptr) << "a kind must be named";
  EXPECT_EQ(ExAllocatePool2(POOL_FLAG_PAGED | POOL_FLAG_NON_PAGED, 10, 'tset'), nullptr);
}

TEST_F(pool, the_nth_allocation_fails_when_told) {
  system.fail_call(machine::failure::pool_allocation, 2);
  void* first = ExAllocatePoolWithTag(NonPagedPool, 10, 'tset');
  EXPECT_NE(first, nullptr);
  EXPECT_EQ(ExAllocatePoolWithTag(NonPagedPool, 10, 'tset'), nullptr);
  void* third = ExAllocatePoolWithTag(NonPagedPool, 10, 'tset');
  EXPECT_NE(third, nullptr);
  ExFreePool(first);
  ExFreePool(third);
}

TEST_F(pool, nonpaged_pool_is_for_dispatch_level) {
  const KIRQL old = KeRaiseIrqlToDpcLevel();
  void* block = ExAllocatePoolWithTag(NonPagedPool, 10, 'tset');
  memset(block, 0, 10);
  ExFreePool(block);
  KeLowerIrql(old);
}

TEST_F(pool, many_paged_blocks_come_and_go) {
  std::vector<void*> blocks;
  for (int round = 0; round < 2'000; ++round) {
    blocks.push_back(ExAllocatePoolWithTag(PagedPool, 1 + static_cast<size_t>(round * 37 % 900), 'tset'));
    ASSERT_NE(blocks.back(), nullptr);
    memset(blocks.back(), round, 1);
    if (round % 3 == 2) {
      ExFreePool(blocks[blocks.size() / 2]);
      blocks.erase(blocks.begin() + static_cast<long>(blocks.size() / 2));
    }
  }
  for (void* block : blocks) ExFreePool(block);
}

TEST_F(pool_death_test, levels_are_checked) {
  EXPECT_DEATH({ KeRaiseIrqlToDpcLevel(); ExAllocatePoolWithTag(PagedPool, 10, 'tset'); },
               "STOP: 0x000000C4 \\(0x0+1, 0x0+2,");
  EXPECT_DEATH({ KIRQL old; KeRaiseIrql(HIGH_LEVEL, &old); ExAllocatePoolWithTag(NonPagedPool, 10, 'tset'); },
               "STOP: 0x000000C4 \\(0x0+2, 0x0+F,");
  void* paged = ExAllocatePoolWithTag(PagedPool, 10, 'tset');
  EXPECT_DEATH({ KeRaiseIrqlToDpcLevel(); ExFreePool(paged); }, "STOP: 0x000000C4 \\(0x0+11, 0x0+2,");
  ExFreePool(paged);
}

TEST_F(pool_death_test, a_double_free_is_a_bug_check) {
  void* block = ExAllocatePoolWithTag(NonPagedPool, 10, 'tset');
  ExFreePool(block);
  EXPECT_DEATH(ExFreePool(block), "STOP: 0x000000C2 \\(0x0+7,(.|\n)*BAD_POOL_CALLER\n.*freed already");
}

TEST_F(pool_death_test, a_wrong_tag_is_a_bug_check) {
  void* block = ExAllocatePoolWithTag(NonPagedPool, 10, 'tset');
  EXPECT_DEATH(ExFreePoolWithTag(block, 'rtho'), "STOP: 0x000000C2 \\(0x0+A,(.|\n)*tag 'ohtr' of a block with tag 'test'");
  ExFreePool(block);
}

TEST_F(pool_death_test, freeing_what_was_never_allocated_is_a_bug_check) {
  int on_stack = 0;
  EXPECT_DEATH(ExFreePool(&on_stack), "STOP: 0x000000C2 \\(0x0+46,");
}

TEST_F(pool_death_test, an_allocation_of_nothing_or_without_a_tag_is_a_bug_check) {
  EXPECT_BUG_CHECK(ExAllocatePoolWithTag(NonPagedPool, 0, 'tset'), "DRIVER_VERIFIER_DETECTED_VIOLATION");
  EXPECT_BUG_CHECK(ExAllocatePoolWithTag(NonPagedPool, 10, 0), "BAD_POOL_CALLER");
}

// AddressSanitizer reports these two at the write; without it the pool's patterns find them.
TEST_F(pool_death_test, a_write_behind_the_block_is_found) {
  auto* block = static_cast<volatile char*>(ExAllocatePoolWithTag(NonPagedPool, 10, 'tset'));
  EXPECT_DEATH({ block[10] = 1; ExFreePool(const_cast<char*>(block)); },
               "DRIVER_VERIFIER_DETECTED_VIOLATION\n.*past its end|AddressSanitizer");
  ExFreePool(const_cast<char*>(block));
}

TEST_F(pool_death_test, a_write_after_the_free_is_found) {
  auto* block = static_cast<volatile char*>(ExAllocatePoolWithTag(NonPagedPool, 10, 'tset'));
  ExFreePool(const_cast<char*>(block));
  EXPECT_DEATH(
      {
        block[3] = 1;
        for (int i = 0; i < 300; ++i) ExFreePool(ExAllocatePoolWithTag(NonPagedPool, 10, 'tset'));
      },
      "SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION|AddressSanitizer");
}

}  // namespace
}  // namespace sluice::sim
