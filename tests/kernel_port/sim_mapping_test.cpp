// Kernel memory in the address space of a process: what a view allows, what it never allows, and how a driver gives it back.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "kernel_port/sim/address_space.h"
#include "kernel_port/sim/memory_file.h"
#include "producers/user_mapping.h"
#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

constexpr ULONG reading = NormalPagePriority | MdlMappingNoWrite | MdlMappingNoExecute;
constexpr ULONG writing = NormalPagePriority | MdlMappingNoExecute;
constexpr size_t block_bytes = 4 * PAGE_SIZE;

void* at(void* base, size_t offset) { return static_cast<char*>(base) + offset; }

PMDL describe(void* memory, size_t bytes) {
  PMDL mdl = IoAllocateMdl(memory, static_cast<ULONG>(bytes), FALSE, FALSE, nullptr);
  MmBuildMdlForNonPagedPool(mdl);
  return mdl;
}

// A machine with a block of pool, and a thread of process 100.
struct shared_pool : testing::Test {
  machine system{{.shared_memory = true}};
  activity thread{system, 0, 100, 101};
  char* block = static_cast<char*>(ExAllocatePool2(POOL_FLAG_NON_PAGED, block_bytes, 'tset'));
  ~shared_pool() override {
    if (block != nullptr) ExFreePool(block);
  }
};

// The descriptors and requests that the machine makes of a process elsewhere.
struct recorded_space : address_space {
  NTSTATUS map(int descriptor, uint64_t offset, uint64_t bytes, bool writable, uint64_t& address) override {
    if (refuses) return STATUS_ACCESS_DENIED;
    kept = ::dup(descriptor);
    where = offset;
    length = bytes;
    may_write = writable;
    address = 0x7000000;
    return STATUS_SUCCESS;
  }
  void unmap(uint64_t address, uint64_t bytes) override {
    unmapped = address;
    EXPECT_EQ(bytes, length);
  }
  ~recorded_space() override {
    if (kept >= 0) ::close(kept);
  }
  bool refuses = false;
  int kept = -1;
  uint64_t where = 0, length = 0, unmapped = 0;
  bool may_write = false;
};

// Whether the statement ends a process of its own by a fault.
template <class statement>
bool faults(statement&& run) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGSEGV, SIG_DFL);
    run();
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

TEST_F(shared_pool, a_view_shows_what_the_kernel_stores) {
  PMDL const mdl = describe(block, block_bytes);
  PVOID view = nullptr;
  ASSERT_EQ(sluice_map_locked_pages(mdl, reading, &view), STATUS_SUCCESS);
  EXPECT_NE(view, block);
  EXPECT_EQ(system.in_use().user_mappings, 1u);
  strcpy(block + PAGE_SIZE, "news");
  EXPECT_STREQ(static_cast<char*>(at(view, PAGE_SIZE)), "news");
  MmUnmapLockedPages(view, mdl);
  EXPECT_EQ(system.in_use().user_mappings, 0u);
  IoFreeMdl(mdl);
}

TEST_F(shared_pool, a_reading_view_cannot_be_written_nor_made_writable) {
  PMDL const mdl = describe(block, block_bytes);
  PVOID view = nullptr;
  ASSERT_EQ(sluice_map_locked_pages(mdl, reading, &view), STATUS_SUCCESS);
  EXPECT_TRUE(faults([&] { *static_cast<volatile char*>(view) = 1; }));
  EXPECT_EQ(::mprotect(view, block_bytes, PROT_READ | PROT_WRITE), -1);
  EXPECT_EQ(errno, EACCES);
  EXPECT_EQ(block[0], 0);
  MmUnmapLockedPages(view, mdl);
  IoFreeMdl(mdl);
}

TEST_F(shared_pool, the_descriptor_of_a_reading_view_allows_nothing_but_reading) {
  const auto elsewhere = std::make_shared<recorded_space>();
  const address_space_registration registration(100, elsewhere);
  PMDL const mdl = describe(block + PAGE_SIZE, 2 * PAGE_SIZE);
  PVOID view = nullptr;
  ASSERT_EQ(sluice_map_locked_pages(mdl, reading, &view), STATUS_SUCCESS);
  EXPECT_FALSE(elsewhere->may_write);
  EXPECT_EQ(elsewhere->where, PAGE_SIZE);
  EXPECT_EQ(elsewhere->length, 2 * PAGE_SIZE);
  EXPECT_EQ(::fcntl(elsewhere->kept, F_GETFL) & O_ACCMODE, O_RDONLY);

  const std::string path = "/proc/self/fd/" + std::to_string(elsewhere->kept);
  const int again = ::open(path.c_str(), O_RDWR | O_CLOEXEC);  // who owns the machine, or is root, may open it so
  std::vector<int> descriptors{elsewhere->kept};
  if (again >= 0) descriptors.push_back(again);
  for (const int descriptor : descriptors) {
    EXPECT_EQ(::mmap(nullptr, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), MAP_FAILED);
    EXPECT_EQ(::pwrite(descriptor, "x", 1, 0), -1);
    EXPECT_EQ(::ftruncate(descriptor, 0), -1);
    EXPECT_EQ(::ftruncate(descriptor, 100 * PAGE_SIZE), -1);
    EXPECT_EQ(::fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE_SIZE), -1);
    EXPECT_EQ(::fcntl(descriptor, F_ADD_SEALS, F_SEAL_WRITE), -1) << "nobody else may decide about the machine's memory";
    void* const seen = ::mmap(nullptr, PAGE_SIZE, PROT_READ, MAP_SHARED, descriptor, 0);
    ASSERT_NE(seen, MAP_FAILED);
    EXPECT_EQ(::mprotect(seen, PAGE_SIZE, PROT_READ | PROT_WRITE), -1);
    EXPECT_EQ(::madvise(seen, PAGE_SIZE, MADV_REMOVE), -1);
    ::munmap(seen, PAGE_SIZE);
  }
  if (again >= 0) ::close(again);
  EXPECT_TRUE(std::all_of(block, block + block_bytes, [](char byte) { return byte == 0; }));
  MmUnmapLockedPages(view, mdl);
  EXPECT_EQ(elsewhere->unmapped, 0x7000000u);
  IoFreeMdl(mdl);
}

TEST_F(shared_pool, a_writable_page_is_shared_both_ways_and_its_neighbours_are_not) {
  strcpy(block + PAGE_SIZE, "before");
  PMDL const all = describe(block, PAGE_SIZE);
  PMDL const page = describe(block + PAGE_SIZE, PAGE_SIZE);
  PVOID read_only = nullptr, writable = nullptr;
  ASSERT_EQ(sluice_map_locked_pages(all, reading, &read_only), STATUS_SUCCESS);
  ASSERT_EQ(sluice_map_locked_pages(page, writing, &writable), STATUS_SUCCESS);
  EXPECT_STREQ(static_cast<char*>(writable), "before");
  strcpy(static_cast<char*>(writable), "of the process");
  EXPECT_STREQ(block + PAGE_SIZE, "of the process");
  strcpy(block + PAGE_SIZE, "of the kernel");
  EXPECT_STREQ(static_cast<char*>(writable), "of the kernel");
  EXPECT_TRUE(faults([&] { *static_cast<volatile char*>(read_only) = 1; }));
  MmUnmapLockedPages(writable, page);
  MmUnmapLockedPages(read_only, all);
  IoFreeMdl(page);
  IoFreeMdl(all);
}

TEST_F(shared_pool, who_kept_the_descriptor_of_a_writable_page_reaches_nothing_after_it_was_unmapped) {
  const auto elsewhere = std::make_shared<recorded_space>();
  const address_space_registration registration(100, elsewhere);
  PMDL const page = describe(block + PAGE_SIZE, PAGE_SIZE);
  PVOID view = nullptr;
  ASSERT_EQ(sluice_map_locked_pages(page, writing, &view), STATUS_SUCCESS);
  ASSERT_TRUE(elsewhere->may_write);
  EXPECT_EQ(::ftruncate(elsewhere->kept, 0), -1) << "the machine would fault";
  auto* const kept = static_cast<char*>(::mmap(nullptr, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, elsewhere->kept, 0));
  ASSERT_NE(kept, MAP_FAILED);
  strcpy(kept, "while mapped");
  EXPECT_STREQ(block + PAGE_SIZE, "while mapped");
  MmUnmapLockedPages(view, page);
  strcpy(kept, "afterwards");
  EXPECT_STREQ(block + PAGE_SIZE, "while mapped");
  ::munmap(kept, PAGE_SIZE);
  IoFreeMdl(page);
}

// The move of a page is what another thread's stores must not notice: every value is there afterwards, and none went astray.
TEST_F(shared_pool, stores_go_on_while_a_page_becomes_writable_to_a_process) {
  auto* const words = reinterpret_cast<std::atomic<uint64_t>*>(block + PAGE_SIZE);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> stored{0};
  std::thread writer([&] {
    uint64_t lost = 0;
    for (uint64_t value = 1; !stop.load(std::memory_order_relaxed); ++value) {
      std::atomic<uint64_t>& word = words[value % 512];
      word.store(value, std::memory_order_relaxed);
      lost += word.load(std::memory_order_relaxed) != value;
      stored.store(value, std::memory_order_relaxed);
    }
    EXPECT_EQ(lost, 0u);
  });
  PMDL const page = describe(block + PAGE_SIZE, PAGE_SIZE);
  for (int round = 0; round < 300; ++round) {
    const uint64_t before = stored.load(std::memory_order_relaxed);
    PVOID view = nullptr;
    ASSERT_EQ(sluice_map_locked_pages(page, writing, &view), STATUS_SUCCESS);
    eventually([&] { return stored.load(std::memory_order_relaxed) > before; });
    MmUnmapLockedPages(view, page);
  }
  stop = true;
  writer.join();
  IoFreeMdl(page);
}

TEST_F(shared_pool, where_there_is_no_room_the_call_says_so_and_nothing_is_mapped) {
  const auto elsewhere = std::make_shared<recorded_space>();
  elsewhere->refuses = true;
  PMDL const mdl = describe(block, PAGE_SIZE);
  PVOID view = nullptr;
  {
    const address_space_registration registration(100, elsewhere);
    EXPECT_EQ(sluice_map_locked_pages(mdl, reading, &view), STATUS_ACCESS_DENIED);
    EXPECT_EQ(sluice_map_locked_pages(mdl, writing, &view), STATUS_ACCESS_DENIED);
  }
  system.fail_call(machine::failure::user_mapping, 1);
  EXPECT_EQ(sluice_map_locked_pages(mdl, reading, &view), STATUS_INSUFFICIENT_RESOURCES);
  EXPECT_EQ(view, nullptr);
  EXPECT_EQ(system.in_use().user_mappings, 0u);
  IoFreeMdl(mdl);
}

TEST_F(shared_pool, a_view_is_unmapped_in_the_process_that_has_it_also_by_a_thread_that_attaches_to_it) {
  PMDL const mdl = describe(block, PAGE_SIZE);
  PVOID view = nullptr;
  ASSERT_EQ(sluice_map_locked_pages(mdl, reading, &view), STATUS_SUCCESS);
  PEPROCESS const mapped = PsGetCurrentProcess();
  ObReferenceObject(mapped);
  std::thread([&] {
    const activity other(system, 1, 200, 201);
    KAPC_STATE before;
    KeStackAttachProcess(mapped, &before);
    EXPECT_EQ(PsGetCurrentProcess(), mapped);
    EXPECT_EQ(PsGetCurrentProcessId(), id(200)) << "the thread stays a thread of its own process";
    MmUnmapLockedPages(view, mdl);
    KeUnstackDetachProcess(&before);
    EXPECT_NE(PsGetCurrentProcess(), mapped);
  }).join();
  EXPECT_EQ(system.in_use().user_mappings, 0u);
  ObDereferenceObject(mapped);
  IoFreeMdl(mdl);
}

TEST(shared_memory_machine, a_machine_without_shared_memory_says_that_it_maps_nothing) {
  machine system{{}};
  activity thread{system, 0, 100, 101};
  void* const block = ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGE_SIZE, 'tset');
  PMDL const mdl = describe(block, PAGE_SIZE);
  PVOID view = nullptr;
  EXPECT_EQ(sluice_map_locked_pages(mdl, reading, &view), STATUS_NOT_SUPPORTED);
  IoFreeMdl(mdl);
  ExFreePool(block);
}

using mapping_death = shared_pool;

TEST_F(mapping_death, rules_that_are_broken_stop_the_machine) {
  PMDL const mdl = describe(block, PAGE_SIZE);
  EXPECT_BUG_CHECK({ IoFreeMdl(mdl); IoFreeMdl(mdl); }, "BAD_POOL_CALLER");
  EXPECT_BUG_CHECK(
      {
        system.fail_call(machine::failure::user_mapping, 1);
        MmMapLockedPagesSpecifyCache(mdl, UserMode, MmCached, nullptr, FALSE, reading);
      },
      "SYSTEM_SERVICE_EXCEPTION");
  EXPECT_BUG_CHECK(describe(at(block, 0), 2 * block_bytes), "MEMORY_MANAGEMENT");
  EXPECT_BUG_CHECK(
      {
        KIRQL old;
        KeRaiseIrql(DISPATCH_LEVEL, &old);
        PVOID view = nullptr;
        (void)sluice_map_locked_pages(mdl, reading, &view);
      },
      "DRIVER_VERIFIER_DETECTED_VIOLATION");
  PMDL const unlocked = IoAllocateMdl(block, PAGE_SIZE, FALSE, FALSE, nullptr);
  EXPECT_BUG_CHECK(
      {
        PVOID view = nullptr;
        (void)sluice_map_locked_pages(unlocked, reading, &view);
      },
      "MEMORY_MANAGEMENT");
  IoFreeMdl(unlocked);
  IoFreeMdl(mdl);
}

TEST_F(mapping_death, a_view_that_is_still_there_stops_the_machine) {
  PMDL const mdl = describe(block, PAGE_SIZE);
  PVOID view = nullptr;
  ASSERT_EQ(sluice_map_locked_pages(mdl, reading, &view), STATUS_SUCCESS);
  EXPECT_BUG_CHECK(IoFreeMdl(mdl), "MEMORY_MANAGEMENT");
  EXPECT_BUG_CHECK(ExFreePool(block), "PFN_LIST_CORRUPT");
  EXPECT_BUG_CHECK(exit_process(100, 0), "PROCESS_HAS_LOCKED_PAGES");
  EXPECT_BUG_CHECK(
      {
        thread.become(0, 200, 201);
        MmUnmapLockedPages(view, mdl);
      },
      "MEMORY_MANAGEMENT");
  MmUnmapLockedPages(view, mdl);
  EXPECT_BUG_CHECK(MmUnmapLockedPages(view, mdl), "MEMORY_MANAGEMENT");
  IoFreeMdl(mdl);
}

TEST_F(mapping_death, an_mdl_that_a_driver_does_not_free_is_found_at_its_unload) {
  scripted_driver driver;
  static void* described;
  described = block;
  scripted_driver::on_entry = [](PDRIVER_OBJECT, PUNICODE_STRING) {
    (void)IoAllocateMdl(described, PAGE_SIZE, FALSE, FALSE, nullptr);
    return STATUS_SUCCESS;
  };
  EXPECT_BUG_CHECK_SAYING(
      {
        (void)system.load_driver("leaks", &scripted_driver::entry);
        (void)system.unload_driver("leaks");
      },
      "DRIVER_VERIFIER_DETECTED_VIOLATION", "1 pool blocks");
}

TEST_F(mapping_death, a_thread_that_leaves_attached_stops_the_machine) {
  EXPECT_BUG_CHECK(
      {
        KAPC_STATE before;
        KeStackAttachProcess(PsInitialSystemProcess, &before);
        thread.become(0, 200, 201);
      },
      "INVALID_PROCESS_ATTACH_ATTEMPT");
  EXPECT_BUG_CHECK(
      {
        KAPC_STATE before{};
        KeUnstackDetachProcess(&before);
      },
      "INVALID_PROCESS_DETACH_ATTEMPT");
}

}  // namespace
}  // namespace sluice::sim
