// consumers/image: the rings of a machine that has died, in the files that are left of it.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <numeric>
#include <thread>

#include "tests/consumers/image_support.h"

using namespace sluice;
using namespace sluice::test;
using namespace sluice::image;

namespace {

std::vector<uint64_t> up_to(uint64_t count) {
  std::vector<uint64_t> values(count);
  std::iota(values.begin(), values.end(), 0);
  return values;
}

// 3 CPUs, events 0..count-1 in turn.
void write_in_turn(dead_machine& machine, uint64_t count, uint32_t cpus = 3) {
  for (uint64_t i = 0; i < count; ++i) ASSERT_EQ(machine.write(i % cpus, i, 8 + i % 3), reserve_status::ok);
}

std::string message_of(const std::string& path, const image_options& options = {}) {
  try {
    image_source source(path, options);
  } catch (const image_error& error) {
    return error.what();
  }
  return {};
}

void take_all(reader& consumer) {
  for (ring_head head = consumer.look(); head.state == head_state::committed; head = consumer.look()) consumer.take(head);
  consumer.release();
}

const ring_report& ring_of(const image_source& source, uint16_t cpu, uint8_t lane = lane_main) {
  for (const ring_report& ring : source.report().rings) {
    if (ring.cpu == cpu && ring.lane == lane) return ring;
  }
  throw std::logic_error("no such ring");
}

}  // namespace

TEST(image, gives_what_was_complete_in_the_order_of_the_merge) {
  dead_machine machine(3);
  write_in_turn(machine, 90);
  const file_on_disk file(machine.memory());
  image_source source(file.path());
  const std::vector<image_event> events = read_all(source);
  EXPECT_EQ(values_of(events), up_to(90));
  EXPECT_TRUE(std::is_sorted(events.begin(), events.end(), [](const auto& a, const auto& b) { return a.time < b.time; }));
  EXPECT_TRUE(source.take_faults().empty());
  EXPECT_EQ(source.report().complete(), 90u);
  EXPECT_EQ(source.report().open(), 0u);
  EXPECT_EQ(source.report().cpu_count, 3u);
  EXPECT_EQ(source.report().rings.size(), 6u);
  EXPECT_EQ(source.capabilities().clock_frequency, frequency);
  EXPECT_EQ(source.capabilities().anchor_counter, 1u);
  // The same end, however often it is asked.
  std::vector<uint8_t> buffer(source.least_buffer());
  EXPECT_EQ(source.read(buffer, {}).status, read_status::end);
}

// The clock went back by a million ticks, twice, before the machine died: the rings tell, and the stream's times go on.
TEST(image, a_clock_that_stepped_back_begins_an_epoch) {
  dead_machine machine(3);
  machine.time.now = 5'000'000;
  write_in_turn(machine, 30);
  for (uint64_t value = 30; value < 90; ++value) {
    if (value % 30 == 0) machine.time.now -= 1'000'000;
    ASSERT_EQ(machine.write(value % 3, value), reserve_status::ok);
  }
  const file_on_disk file(machine.memory());
  image_source source(file.path());
  const std::vector<image_event> events = read_all(source);
  std::vector<uint64_t> values, places;
  for (const image_event& event : events) {
    if (event.type == record_type_epoch) {
      places.push_back(values.size());
    } else {
      values.push_back(event.value);
    }
    EXPECT_FALSE(event.late);
  }
  EXPECT_EQ(values, up_to(90));
  EXPECT_EQ(places, (std::vector<uint64_t>{30, 60}));
  EXPECT_TRUE(std::is_sorted(events.begin(), events.end(), [](const auto& a, const auto& b) { return a.time < b.time; }));
}

TEST(image, a_saved_region_alone_is_an_image) {
  dead_machine machine(3);
  write_in_turn(machine, 90);
  const file_on_disk file(dead_machine::region_of(machine.main(1)));
  image_source source(file.path());
  const std::vector<image_event> events = read_all(source);
  ASSERT_EQ(events.size(), 30u);
  for (size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i].value, 3 * i + 1);
  EXPECT_EQ(source.report().rings.size(), 1u);
}

TEST(image, regions_are_found_on_any_page_between_anything) {
  dead_machine machine(2);
  write_in_turn(machine, 40, 2);
  blob image(3 * 4096, 0x53);  // no header begins with it
  for (uint32_t cpu : {1u, 0u}) {  // in any order
    const blob region = dead_machine::region_of(machine.main(cpu));
    image.insert(image.end(), region.begin(), region.end());
    image.resize(image.size() + 5 * 4096, 0xcc);
  }
  image.resize(image.size() + 100);
  const file_on_disk file(image);
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(40));
  EXPECT_EQ(ring_of(source, 1).address, 3u * 4096);
}

TEST(image, positions_that_wrap_are_followed) {
  dead_machine machine(1, 0xffffff00);
  for (uint64_t i = 0; i < 40; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  const file_on_disk file(machine.memory());
  image_source source(file.path());
  const std::vector<image_event> events = read_all(source);
  EXPECT_EQ(values_of(events), up_to(40));
  EXPECT_EQ(events.front().identity.position, 0xffffff00u);
  EXPECT_EQ(events.back().identity.position, uint64_t{0xffffff00} + 39 * 24);
}

TEST(image, a_ring_that_has_wrapped_is_read_across_its_end_and_apron) {
  dead_machine machine(1);
  reader consumer;
  consumer.attach(machine.main(0).view);
  for (uint64_t i = 0; i < 1000; ++i) {
    ASSERT_EQ(machine.write(0, i, 8 + i % 90), reserve_status::ok);
    if (i % 16 == 15) take_all(consumer);
  }
  const file_on_disk file(machine.memory());
  image_source source(file.path(), {{.unread_only = true}, {}, {}});
  EXPECT_EQ(values_of(read_all(source)), (std::vector<uint64_t>{992, 993, 994, 995, 996, 997, 998, 999}));
  EXPECT_TRUE(source.take_faults().empty());
}

// A reader may have died with what it had taken: that is given, too, as far as it is still there.
TEST(image, what_a_reader_had_taken_is_given_as_far_as_it_is_still_there) {
  dead_machine machine(1);
  reader consumer;
  consumer.attach(machine.main(0).view);
  for (uint64_t i = 0; i < 1000; ++i) {
    ASSERT_EQ(machine.write(0, i, 8 + i % 90), reserve_status::ok);
    if (i % 16 == 15) take_all(consumer);
  }
  const file_on_disk file(machine.memory());
  image_source source(file.path());
  const std::vector<uint64_t> values = values_of(read_all(source));
  const ring_report& ring = ring_of(source, 0);
  EXPECT_EQ(ring.complete, values.size());
  EXPECT_EQ(ring.taken + 8, values.size());
  // All but what the next records, not published yet, may have been written over.
  const uint32_t longest = record_header_size + 8 + 89;
  EXPECT_GE(ring.published - ring.begin, small_main.capacity - small_main.max_record - max_loss_record - longest);
  EXPECT_EQ(values.back(), 999u);
  for (size_t i = 1; i < values.size(); ++i) ASSERT_EQ(values[i], values[i - 1] + 1);
  EXPECT_TRUE(source.take_faults().empty());
}

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

TEST(image, of_a_ring_that_was_never_full_everything_is_still_there) {
  dead_machine machine(1, 0xffffff00);
  reader consumer;
  consumer.attach(machine.main(0).view);
  for (uint64_t i = 0; i < 40; ++i) {
    ASSERT_EQ(machine.write(0, i), reserve_status::ok);
    if (i == 30) take_all(consumer);
  }
  const file_on_disk file(machine.memory());
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(40));
  EXPECT_EQ(ring_of(source, 0).taken, 31u);
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
    while (published() < 10 * small_main.capacity) std::this_thread::yield();
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

// Records of one length: the next one, not published yet, stands exactly where the oldest one stood.
TEST(image, a_record_that_was_not_published_is_not_taken_for_an_old_one) {
  dead_machine machine(1);
  reader consumer;
  consumer.attach(machine.main(0).view);
  for (uint64_t i = 0; i < 640; ++i) {  // ten times the capacity
    ASSERT_EQ(machine.write(0, i, 48), reserve_status::ok);
    if (i % 16 == 15) take_all(consumer);
  }
  blob image = machine.memory();
  for (const record_state state : {record_state::reserved, record_state::committed}) {
    const record_header unpublished{make_state_and_length(state, 64), critical_type, 1, 0, 0, 0};
    std::memcpy(&image[4096], &unpublished, sizeof unpublished);
    const file_on_disk file(image);
    image_source source(file.path());
    const std::vector<image_event> events = read_all(source);
    EXPECT_GT(events.size(), 10u);
    EXPECT_EQ(events.back().value, 639u);
    for (const image_event& event : events) EXPECT_EQ(event.type, ordinary_type);
  }
}

// A reader gives nothing back that is open: what its word says then is not followed.
TEST(image, an_open_record_that_claims_to_have_been_taken_ends_what_was) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 20; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  blob image = machine.memory();
  const uint32_t stamped = make_state_and_length(record_state::stamped, 24), consumed = 15 * 24;
  std::memcpy(&image[4096 + 10 * 24], &stamped, sizeof stamped);
  std::memcpy(&image[region_consumer_offset(small_main)], &consumed, sizeof consumed);
  const file_on_disk file(image);
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), (std::vector<uint64_t>{11, 12, 13, 14, 15, 16, 17, 18, 19}));
}

// Headers that claim the largest rings there are, and have nothing behind them: what they cost is what the file has.
TEST(image, rings_that_are_not_there_cost_nothing_however_large_they_claim_to_be) {
  std::vector<core_segment> segments;
  for (uint64_t i = 0; i < 200; ++i) {
    const ring_geometry huge{max_capacity, max_loss_record, 0};
    blob page(4096 + 4096);
    region_header header{};
    {
      dead_machine machine(1);
      header = machine.main(0).view.producer->header;
    }
    header.capacity = huge.capacity;
    header.max_record = huge.max_record;
    header.critical_bytes = 0;
    header.consumer_offset = region_consumer_offset(huge);
    header.region_bytes = region_bytes(huge);
    header.cpu = static_cast<uint16_t>(i);
    header.cpu_count = 200;
    header.start_position = 0;
    header.checksum = checksum_of(header);
    std::memcpy(page.data(), &header, sizeof header);
    const uint32_t published = max_capacity;
    std::memcpy(&page[offsetof(producer_page<native_seam>, published)], &published, sizeof published);
    segments.push_back({(i + 1) << 32, page, page.size()});
    // A few records at the end, so that what lies between is bridged.
    blob tail(4096);
    for (size_t at = 0; at < tail.size(); at += 64) {
      const record_header record{make_state_and_length(record_state::committed, 64), critical_type, 1, 0, 7, 0};
      std::memcpy(&tail[at], &record, sizeof record);
    }
    segments.push_back({((i + 1) << 32) + 4096 + max_capacity - 4096, tail, tail.size()});
  }
  const file_on_disk file(make_core(segments));
  rusage use{};
  ASSERT_EQ(::getrusage(RUSAGE_SELF, &use), 0);
  const long resident = use.ru_maxrss;
  image_source source(file.path());
  EXPECT_EQ(read_all(source).size(), 200u * 64);
  ASSERT_EQ(::getrusage(RUSAGE_SELF, &use), 0);
  EXPECT_LT(use.ru_maxrss - resident, 1 << 20) << "KiB; the rings claim 200 GiB";
}

TEST(image, what_was_taken_is_damaged_by_nobody_but_its_own_bytes) {
  dead_machine machine(1);
  reader consumer;
  consumer.attach(machine.main(0).view);
  for (uint64_t i = 0; i < 40; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  take_all(consumer);
  blob image = machine.memory();
  std::memset(&image[4096 + 10 * 24], 0, 8);
  const file_on_disk file(image);
  image_source source(file.path());
  std::vector<uint64_t> expected = up_to(40);
  expected.erase(expected.begin(), expected.begin() + 11);
  EXPECT_EQ(values_of(read_all(source)), expected) << "what leads to the reader's place without a break";
}

TEST(image, says_what_was_open_and_what_was_discarded) {
  dead_machine machine(2);
  record stamped, discarded, reserved;
  ASSERT_EQ(machine.write(0, 0), reserve_status::ok);
  ASSERT_EQ(machine.rings(0).reserve(event_type_process_create, 1, 64, stamped), reserve_status::ok);
  const event_context holder{17, 18};
  std::memcpy(stamped.payload(), &holder, sizeof holder);
  const uint64_t stamped_at = machine.time.now - 1;
  ASSERT_EQ(machine.write(1, 1), reserve_status::ok);
  ASSERT_EQ(machine.rings(1).reserve(ordinary_type, 1, 8, discarded), reserve_status::ok);
  discarded.close(record_state::discarded);
  ASSERT_EQ(machine.rings(1).reserve(ordinary_type, 1, 8, reserved), reserve_status::ok);
  reserved.close(record_state::reserved);  // as if it had died before the clock was read
  ASSERT_EQ(machine.write(1, 2), reserve_status::ok);
  ASSERT_EQ(machine.write(0, 3), reserve_status::ok);
  const file_on_disk file(machine.memory());
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(4)) << "an open record holds nothing back: it will never be closed";

  const ring_report& first = ring_of(source, 0);
  ASSERT_EQ(first.open.size(), 1u);
  EXPECT_EQ(first.open[0].type, event_type_process_create);
  EXPECT_EQ(first.open[0].state, record_state::stamped);
  EXPECT_EQ(first.open[0].position, 24u);
  EXPECT_EQ(first.open[0].length, 80u);
  EXPECT_EQ(first.open[0].time, stamped_at);
  EXPECT_EQ(first.open[0].pid, 17u);
  EXPECT_EQ(first.open[0].tid, 18u);
  EXPECT_EQ(first.complete, 2u);
  const ring_report& second = ring_of(source, 1);
  ASSERT_EQ(second.open.size(), 1u);
  EXPECT_EQ(second.open[0].state, record_state::reserved);
  EXPECT_EQ(second.discarded, 1u);
  EXPECT_TRUE(source.take_faults().empty()) << "what was open is no damage";
}

TEST(image, what_was_published_last_is_the_last_record) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 10; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  // A record whose producer died before it published: never accepted.
  blob image = machine.memory();
  const record_header unpublished{make_state_and_length(record_state::reserved, 24), ordinary_type, 1, 0, 0, 0};
  std::memcpy(&image[4096 + 240], &unpublished, sizeof unpublished);
  const file_on_disk file(image);
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(10));
  EXPECT_EQ(source.report().open(), 0u);
}

TEST(image, behind_a_damaged_record_the_next_ones_are_found) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 30; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  blob image = machine.memory();
  std::memset(&image[4096 + 10 * 24 + 4], 0, 100);  // in record 10: its type; up to the header of record 14
  const file_on_disk file(image);
  image_source source(file.path());
  std::vector<uint64_t> expected = up_to(30);
  expected.erase(expected.begin() + 10, expected.begin() + 15);
  EXPECT_EQ(values_of(read_all(source)), expected);
  const ring_report& ring = ring_of(source, 0);
  ASSERT_EQ(ring.damage.size(), 1u);
  EXPECT_EQ(ring.damage[0].position, 10u * 24);
  EXPECT_EQ(ring.damage[0].bytes, 5u * 24);
  const std::vector<std::string> faults = source.take_faults();
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0], "cpu 0, main ring: 120 bytes at position 240 are damaged: a record of no type");
}

TEST(image, two_damaged_places_leave_what_is_between_them) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 60; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  blob image = machine.memory();
  std::memset(&image[4096 + 10 * 24], 0xff, 16);
  std::memset(&image[4096 + 40 * 24], 0, 16);
  const file_on_disk file(image);
  image_source source(file.path());
  std::vector<uint64_t> expected = up_to(60);
  expected.erase(expected.begin() + 40);
  expected.erase(expected.begin() + 10);
  EXPECT_EQ(values_of(read_all(source)), expected);
  EXPECT_EQ(ring_of(source, 0).damage.size(), 2u);
}

TEST(image, a_payload_that_looks_like_records_is_not_read_as_any) {
  dead_machine machine(1);
  ASSERT_EQ(machine.write(0, 0), reserve_status::ok);
  std::vector<uint8_t> forged(20 * 24);  // records of the right form from another time
  for (size_t i = 0; i < 20; ++i) {
    const record_header fake{make_state_and_length(record_state::committed, 24), ordinary_type, 1, 0, 0, 0};
    std::memcpy(&forged[i * 24], &fake, sizeof fake);
  }
  ASSERT_EQ(machine.rings(0).write(critical_type, 1, forged.data(), static_cast<uint32_t>(forged.size())), reserve_status::ok);
  for (uint64_t i = 1; i < 30; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  blob image = machine.memory();
  {
    const file_on_disk file(image);
    image_source source(file.path());
    EXPECT_EQ(read_all(source).size(), 31u);
  }
  image[4096 + 24 + 4] = 0;  // the record around them loses its type
  const file_on_disk file(image);
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(30)) << "their times are older than what came before";
}

TEST(image, a_cut_file_gives_what_it_has) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 100; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  blob image = dead_machine::region_of(machine.main(0));
  image.resize(4096 + 50 * 24 + 12);
  const file_on_disk file(image);
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(50));
  EXPECT_EQ(ring_of(source, 0).damaged_bytes(), 50u * 24);
  const std::vector<std::string> faults = source.take_faults();
  ASSERT_EQ(faults.size(), 2u);
  EXPECT_EQ(faults[0], "cpu 0, main ring: the page that says what was consumed is not in the image");
  EXPECT_EQ(faults[1], "cpu 0, main ring: 1200 bytes at position 1200 are damaged: the image lacks these bytes");
}

TEST(image, hostile_positions_are_not_followed) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 50; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  const blob whole = machine.memory();
  const size_t published = offsetof(producer_page<native_seam>, published);
  const size_t consumed = region_consumer_offset(small_main);
  for (const size_t word : {published, consumed}) {
    for (const uint32_t value : {~0u, 0x80000000u, 0x7fffffffu, 4097u, 4096u, 1201u, 1208u, 3u, 8u}) {
      blob image = whole;
      std::memcpy(&image[word], &value, sizeof value);
      const file_on_disk file(image);
      image_source source(file.path());
      const std::vector<image_event> events = read_all(source);
      EXPECT_FALSE(source.take_faults().empty()) << word << " " << value;
      if (word == consumed) {
        EXPECT_EQ(events.back().value, 49u) << value;
      }
    }
  }
}

TEST(image, lengths_beyond_the_end_are_damage) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 20; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  const blob whole = machine.memory();
  for (const uint32_t length : {0u, 8u, 15u, 1081u, 480u - 5 * 24 + 8, 0x0fffffffu}) {
    blob image = whole;
    const uint32_t word = make_state_and_length(record_state::committed, length);
    std::memcpy(&image[4096 + 5 * 24], &word, sizeof word);
    const file_on_disk file(image);
    image_source source(file.path());
    std::vector<uint64_t> expected = up_to(20);
    expected.erase(expected.begin() + 5);
    EXPECT_EQ(values_of(read_all(source)), expected) << length;
    EXPECT_EQ(source.take_faults().size(), 1u) << length;
  }
}

TEST(image, a_header_that_does_not_hold_is_named_with_its_place) {
  dead_machine machine(2);
  write_in_turn(machine, 20, 2);
  blob image = machine.memory();
  const size_t second = 2 * region_bytes(small_main);  // the main ring of cpu 1
  ++image[second + offsetof(region_header, version)];
  const file_on_disk file(image);
  image_source source(file.path());
  EXPECT_EQ(read_all(source).size(), 10u);
  const std::vector<std::string> faults = source.take_faults();
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0], "at 0x8000: ring region of an unknown version");
}

TEST(image, a_region_inside_another_is_not_read) {
  dead_machine machine(1), forger(1, 0, boot + 1);
  ASSERT_EQ(forger.write(0, 666), reserve_status::ok);
  for (uint64_t i = 0; i < 10; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  blob image = machine.memory();
  const blob forged = dead_machine::region_of(forger.main(0));
  std::copy_n(forged.begin(), 4096, image.begin() + 4096 + 4096);  // on a page of the data
  const file_on_disk file(image);
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(10));
  EXPECT_EQ(source.report().boot, boot);
  EXPECT_TRUE(source.report().other_boots.empty());
  EXPECT_EQ(source.take_faults().size(), 1u);
}

TEST(image, of_a_ring_that_is_there_twice_the_newer_is_read) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 10; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  blob image = machine.memory();
  for (uint64_t i = 10; i < 20; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  const blob later = machine.memory();
  image.insert(image.end(), later.begin(), later.end());
  const file_on_disk file(image);
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(20));
  EXPECT_EQ(source.take_faults().size(), 2u);
}

TEST(image, of_several_boots_the_newest_is_read_unless_one_is_asked_for) {
  dead_machine older(1, 0, boot), newer(1, 0, boot + 5);
  ASSERT_EQ(older.write(0, 1), reserve_status::ok);
  ASSERT_EQ(newer.write(0, 2), reserve_status::ok);
  blob image = older.memory();
  const blob rest = newer.memory();
  image.insert(image.end(), rest.begin(), rest.end());
  const file_on_disk file(image);
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), std::vector<uint64_t>{2});
  EXPECT_EQ(source.report().other_boots, std::vector<uint64_t>{boot});
  image_source chosen(file.path(), {{}, boot, {}});
  EXPECT_EQ(values_of(read_all(chosen)), std::vector<uint64_t>{1});
  EXPECT_NE(message_of(file.path(), {{}, 7, {}}).find("no rings of boot 7; there are:"), std::string::npos);
}

TEST(image, rings_that_contradict_their_boot_are_left_out) {
  dead_machine machine(2);
  write_in_turn(machine, 20, 2);
  blob image = machine.memory();
  region_header header;
  const size_t second = 2 * region_bytes(small_main);
  std::memcpy(&header, &image[second], sizeof header);
  header.clock_frequency += 1;
  header.checksum = checksum_of(header);
  std::memcpy(&image[second], &header, sizeof header);
  const file_on_disk file(image);
  image_source source(file.path());
  EXPECT_EQ(read_all(source).size(), 10u);
  EXPECT_EQ(source.take_faults().size(), 1u);
}

TEST(image, a_core_file_is_read_across_its_segments) {
  dead_machine machine(2);
  write_in_turn(machine, 60, 2);
  const blob memory = machine.memory();
  // Split where the kernel splits: at a page within a region.
  const size_t cut = 2 * 4096;
  const blob first(memory.begin(), memory.begin() + cut), second(memory.begin() + cut, memory.end());
  const file_on_disk file(make_core({{0x400000, blob(4096, 0x7f), 4096},
                                     {0x7f0000000000, first, first.size()},
                                     {0x7f0000000000 + cut, second, second.size()},
                                     {0x7fff00000000, {}, 8192}}));
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(60));
  EXPECT_EQ(source.report().kind, image_kind::core);
  EXPECT_EQ(ring_of(source, 0).address, 0x7f0000000000u);
  EXPECT_TRUE(source.take_faults().empty());
}

TEST(image, pages_that_a_core_file_lacks_are_damage_and_no_more) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 120; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  const blob region = dead_machine::region_of(machine.main(0));
  // Only the producer's page and the first 1000 bytes of data; the consumer's page is in a segment of its own.
  const blob first(region.begin(), region.begin() + 4096 + 1000);
  const blob last(region.end() - 4096, region.end());
  const file_on_disk file(
      make_core({{0x10000, first, region.size() - 4096}, {0x10000 + region.size() - 4096, last, last.size()}}));
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(41));  // 1000 / 24
  EXPECT_EQ(ring_of(source, 0).damaged_bytes(), (120u - 41) * 24);
}

TEST(image, a_core_file_that_is_cut_says_so) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 120; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  const blob memory = machine.memory();
  blob core = make_core({{0x10000, memory, memory.size()}});
  core.resize(core.size() - memory.size() + 4096 + 1000);
  const file_on_disk file(core);
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(41));
  const std::vector<std::string> faults = source.take_faults();
  ASSERT_FALSE(faults.empty());
  EXPECT_NE(faults[0].find("the core file is cut: "), std::string::npos) << faults[0];
}

TEST(image, hostile_core_files_are_refused_or_read_as_far_as_they_go) {
  dead_machine machine(1);
  ASSERT_EQ(machine.write(0, 0), reserve_status::ok);
  const blob memory = machine.memory();
  const blob core = make_core({{0x10000, memory, memory.size()}});
  const auto with = [&](size_t at, auto value) {
    blob changed = core;
    std::memcpy(&changed[at], &value, sizeof value);
    const file_on_disk file(changed);
    return message_of(file.path());
  };
  EXPECT_NE(with(offsetof(Elf64_Ehdr, e_type), Elf64_Half{ET_EXEC}).find("not a core file"), std::string::npos);
  EXPECT_NE(with(EI_CLASS, static_cast<unsigned char>(ELFCLASS32)).find("64-bit"), std::string::npos);
  EXPECT_NE(with(offsetof(Elf64_Ehdr, e_phentsize), Elf64_Half{1}).find("program headers of 1 bytes"), std::string::npos);
  EXPECT_NE(with(offsetof(Elf64_Ehdr, e_phoff), ~Elf64_Off{0}).find("no rings"), std::string::npos);
  EXPECT_EQ(with(offsetof(Elf64_Ehdr, e_phnum), Elf64_Half{PN_XNUM - 1}), "");
  EXPECT_EQ(with(offsetof(Elf64_Ehdr, e_phnum), Elf64_Half{PN_XNUM}).find("no rings") == std::string::npos, false);
  const size_t load = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
  EXPECT_NE(with(load + offsetof(Elf64_Phdr, p_offset), ~Elf64_Off{0} - 100).find("no rings"), std::string::npos);
  EXPECT_NE(with(load + offsetof(Elf64_Phdr, p_vaddr), ~Elf64_Addr{0} - 100).find("past the last address"), std::string::npos);
  EXPECT_EQ(with(load + offsetof(Elf64_Phdr, p_filesz), ~Elf64_Xword{0}), "");
  EXPECT_NE(message_of(file_on_disk(blob(core.begin(), core.begin() + 30)).path()).find("cut within its first header"),
            std::string::npos);
}

TEST(image, what_is_no_image_is_refused_with_the_reason) {
  EXPECT_NE(message_of("/nonexistent").find("/nonexistent: No such file"), std::string::npos);
  EXPECT_NE(message_of("/").find("directory"), std::string::npos);
  EXPECT_NE(message_of(file_on_disk({}).path()).find("no rings of sluice in 0 bytes"), std::string::npos);
  EXPECT_NE(message_of(file_on_disk(blob(10000, 7)).path()).find("no rings of sluice in 10000 bytes of it"), std::string::npos);
  blob compressed(10000, 7);
  const uint8_t zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
  std::copy(std::begin(zstd), std::end(zstd), compressed.begin());
  EXPECT_NE(message_of(file_on_disk(compressed).path()).find("decompress it first"), std::string::npos);
}

TEST(image, tells_of_losses_that_no_record_tells_of) {
  dead_machine machine(1);
  uint64_t written = 0, dropped = 0;
  while (machine.write(0, written) == reserve_status::ok) ++written;
  for (dropped = 1; dropped < 5; ++dropped) ASSERT_EQ(machine.write(0, 0), reserve_status::dropped);
  const file_on_disk file(machine.memory());
  image_source source(file.path());
  std::vector<image_event> events = read_all(source);
  ASSERT_EQ(events.size(), written + 1);
  EXPECT_EQ(events.back().type, record_type_loss);
  EXPECT_TRUE(events.back().figures);

  // Once a LOSS record tells of it, it is told of once.
  machine.main(0).claim(24);
  reader passing;
  ASSERT_EQ(machine.write(0, 1, 8, critical_type), reserve_status::ok);
  const file_on_disk later(machine.memory());
  image_source again(later.path());
  events = read_all(again);
  EXPECT_EQ(std::count_if(events.begin(), events.end(), [](const image_event& e) { return e.type == record_type_loss; }), 1);
  EXPECT_EQ(std::count_if(events.begin(), events.end(), [](const image_event& e) { return e.figures; }), 0);
}

TEST(image, types_that_were_not_asked_for_are_left_out) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 10; ++i) ASSERT_EQ(machine.write(0, i, 8, i % 2 ? critical_type : ordinary_type), reserve_status::ok);
  const file_on_disk file(machine.memory());
  image_source source(file.path());
  source.set_types(uint64_t{1} << critical_type);
  EXPECT_EQ(values_of(read_all(source)), (std::vector<uint64_t>{1, 3, 5, 7, 9}));
}

TEST(image, own_types_are_known_by_the_catalog) {
  dead_machine machine(1);
  ASSERT_EQ(machine.write(0, 42), reserve_status::ok);
  auto catalog = std::make_unique<type_catalog>();
  create_catalog(*catalog, boot);
  type_entry& entry = catalog->entries[0];
  entry.head = {ordinary_type, 1, 0, 1, "sample"};
  entry.fields[0] = {"value", 0, 8, field_kind::unsigned_integer, {}};
  catalog->header.count = 1;
  blob image = machine.memory();
  const auto* const from = reinterpret_cast<const uint8_t*>(catalog.get());
  image.insert(image.end(), from, from + sizeof *catalog);
  const file_on_disk file(image);
  image_source source(file.path());
  type_registry types;
  std::string error;
  EXPECT_EQ(types.learn_all(source.types(), error), 1u) << error;
  ASSERT_NE(types.find(ordinary_type), nullptr);
  EXPECT_EQ(types.find(ordinary_type)->name, "sample");
  EXPECT_EQ(source.report().own_types, 1u);
}
