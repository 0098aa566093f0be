// consumers/image: rings in overwrite mode, a flight recorder's.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <thread>

#include "tests/consumers/image_support.h"

using namespace sluice;
using namespace sluice::test;
using namespace sluice::image;

TEST(image, of_an_overwriting_ring_the_newest_are_there_whatever_a_reader_had_taken) {
  for (const bool hostile : {false, true}) {
    dead_machine machine(2, 0u - 8192, boot, ring_mode::overwrite);
    for (uint64_t value = 0; value < 2000; ++value) {
      ASSERT_EQ(machine.write(value % 2, value, 40), reserve_status::ok);
      if (hostile) machine.main(0).claim(static_cast<uint32_t>(value) * 8);
    }
    const file_on_disk file(machine.memory());
    image_source source(file.path());
    EXPECT_TRUE(source.take_faults().empty());
    const std::vector<uint64_t> values = values_of(read_all(source));
    ASSERT_GT(values.size(), 2 * 3000u / 56);
    uint64_t expected = 2000 - values.size();
    for (const uint64_t value : values) EXPECT_EQ(value, expected++);
    EXPECT_EQ(expected, 2000u);
  }
}

// Flight recorder: the newest survive, read or not, and it is known how many did not.
TEST(image, of_an_overwriting_ring_the_newest_are_there_from_the_tail_on) {
  for (const uint32_t start : {0u, 0xfffffe00u}) {
    dead_machine machine(1, start, boot, ring_mode::overwrite);
    for (uint64_t i = 0; i < 1000; ++i) ASSERT_EQ(machine.write(0, i, 8 + i % 90), reserve_status::ok);
    const file_on_disk file(machine.memory());
    image_source source(file.path());
    const std::vector<image_event> events = read_all(source);
    const std::vector<uint64_t> values = values_of(events);
    const ring_report& ring = ring_of(source, 0);
    EXPECT_EQ(ring.mode, ring_mode::overwrite);
    ASSERT_FALSE(values.empty());
    EXPECT_EQ(values.back(), 999u);
    for (size_t i = 1; i < values.size(); ++i) ASSERT_EQ(values[i], values[i - 1] + 1);
    EXPECT_EQ(ring.overwritten + values.size(), 1000u);
    EXPECT_GT(ring.published - ring.begin, small_main.capacity - small_main.critical_bytes - 200u);
    EXPECT_EQ(events.front().identity.position, ring.begin);
    EXPECT_GT(ring.begin, start) << "64 bits: more than one lap behind the start, whatever the low word says";
    EXPECT_TRUE(source.take_faults().empty());
  }
}

TEST(image, in_overwrite_mode_what_a_reader_had_taken_is_marked_by_its_place_only) {
  dead_machine machine(1, 0, boot, ring_mode::overwrite);
  for (uint64_t i = 0; i < 30; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  machine.main(0).claim(10 * 24);
  {
    const file_on_disk file(machine.memory());
    image_source source(file.path());
    EXPECT_EQ(values_of(read_all(source)), up_to(30));
    EXPECT_EQ(ring_of(source, 0).taken, 10u);
    image_source unread(file.path(), {{.unread_only = true}, {}, {}});
    EXPECT_EQ(read_all(unread).size(), 20u);
  }
  // A reader that was overtaken, or lies: nothing was taken of what is left.
  for (const uint32_t claim : {0u, 4u, 0x80000000u}) {
    for (uint64_t i = 0; i < 300; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
    machine.main(0).claim(claim);
    const file_on_disk file(machine.memory());
    image_source source(file.path());
    EXPECT_EQ(read_all(source).back().value, 299u);
    EXPECT_EQ(ring_of(source, 0).taken, 0u);
    EXPECT_TRUE(source.take_faults().empty()) << claim;
  }
}

TEST(image, hostile_tails_are_not_followed) {
  dead_machine machine(1, 0, boot, ring_mode::overwrite);
  for (uint64_t i = 0; i < 500; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  const blob whole = machine.memory();
  const size_t tail = offsetof(producer_page<native_seam>, tail) + offsetof(tail_figures<native_seam>, tail);
  for (const uint32_t value : {0u, 3u, ~0u, 0x80000000u, 500u * 24 + 8}) {
    blob image = whole;
    std::memcpy(&image[tail], &value, sizeof value);
    const file_on_disk file(image);
    image_source source(file.path());
    EXPECT_EQ(read_all(source).back().value, 499u) << value;
    EXPECT_FALSE(source.take_faults().empty()) << value;
  }
}

// Done when: a process killed with -9 in overwrite mode under load leaves its last events.
TEST(image, a_writer_that_is_killed_in_overwrite_mode_leaves_its_last_events) {
  constexpr uint32_t ring_step = small_main.capacity / 64 + small_main.max_record;
  for (uint32_t round = 0; round < 20; ++round) {
    const file_on_disk file(blob(region_bytes(small_main) + region_bytes(small_spare)));
    const int descriptor = ::open(file.path().c_str(), O_RDWR | O_CLOEXEC);
    const size_t size = region_bytes(small_main) + region_bytes(small_spare);
    void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    ASSERT_NE(memory, MAP_FAILED);
    region_view<native_seam> view[2];
    for (uint32_t i = 0; i < 2; ++i) {
      view[i] = create_region(static_cast<uint8_t*>(memory) + i * region_bytes(small_main), i == 0 ? small_main : small_spare,
                              {boot, frequency, 0, i == 0 ? lane_main : lane_spare, 0, 1}, ring_mode::overwrite);
    }
    const pid_t writer = ::fork();
    ASSERT_GE(writer, 0);
    if (writer == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that fails leaves nobody behind
      manual_time time;
      time.step = 1;
      cpu_rings<native_seam, manual_clock> rings(manual_clock{&time});
      rings.attach(view[0], view[1], 0);
      uint8_t payload[128];
      for (uint64_t i = 0;; ++i) {
        const uint32_t length = 8 + i % 100;
        basic_cpu<manual_clock>::fill(payload, length, i);
        (void)rings.write(ordinary_type, 1, payload, length);
      }
    }
    // It is at work, and then at any place of it.
    const auto published = [&] { return view[0].producer->published.load(memory_order::acquire); };
    while (published() < 10 * small_main.capacity) {
      ASSERT_EQ(::waitpid(writer, nullptr, WNOHANG), 0) << "it died by itself";
      std::this_thread::yield();
    }
    std::this_thread::sleep_for(std::chrono::microseconds(round * 137));
    ASSERT_EQ(::kill(writer, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(writer, &status, 0), writer);
    ASSERT_TRUE(WIFSIGNALED(status));

    image_source source(file.path());
    const std::vector<uint64_t> values = values_of(read_all(source));
    const ring_report& ring = ring_of(source, 0);
    EXPECT_TRUE(source.take_faults().empty());
    EXPECT_LE(ring.open.size(), 1u) << "the one it was writing";
    ASSERT_GT(values.size(), 10u);
    for (size_t i = 1; i < values.size(); ++i) ASSERT_EQ(values[i], values[i - 1] + 1);
    // Everything that was ever accepted is there or was overwritten: the numbers say so, too.
    if (ring.overwritten_at_most) {  // killed while it moved the tail
      EXPECT_GE(ring.overwritten, values.front());
      EXPECT_LE(ring.overwritten - values.front(), 2 * ring_step / 24) << "no more than one move passes";
    } else {
      EXPECT_EQ(values.front(), ring.overwritten);
    }
    EXPECT_EQ(static_cast<uint32_t>(ring.published), published());
    ::munmap(memory, size);
    ::close(descriptor);
  }
}
